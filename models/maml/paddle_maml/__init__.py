"""Exact second-order MAML for PaddlePaddle."""

from . import cpu
from .maml import MAML, Learner
from .operators import twice_differentiable

cpu.tune()

__all__ = ["MAML", "Learner", "twice_differentiable"]

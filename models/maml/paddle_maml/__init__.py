"""Exact second-order MAML for PaddlePaddle."""

from . import cpu
from .learner import Learner
from .maml import MAML
from .operators import twice_differentiable

cpu.tune()

__all__ = ["MAML", "Learner", "twice_differentiable"]

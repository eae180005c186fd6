"""Exact second-order MAML for PaddlePaddle."""

from . import cpu
from .learner import Learner
from .maml import MAML
from .metric import MatchingNet, ProtoNet, Siamese
from .operators import twice_differentiable
from .pretrained import FineTune, NearestNeighbor

cpu.tune()

__all__ = [
    "MAML",
    "FineTune",
    "Learner",
    "MatchingNet",
    "NearestNeighbor",
    "ProtoNet",
    "Siamese",
    "twice_differentiable",
]

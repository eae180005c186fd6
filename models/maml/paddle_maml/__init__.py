"""Exact second-order MAML for PaddlePaddle."""

from . import cpu
from .check import Check
from .classifier import Classifier, load
from .clipping import ClipByNorm, ClipByValue
from .ensemble import Ensemble, View
from .learner import Learner
from .maml import MAML
from .maml_plus_plus import MAMLPlusPlus
from .metric import MatchingNet, ProtoNet, Siamese
from .nonfinite import NonFinite, find_nonfinite
from .operators import twice_differentiable
from .pretrained import FineTune, NearestNeighbor
from .reptile import Reptile
from .variants import ANIL, BOIL, MetaSGD

cpu.tune()

__all__ = [
    "ANIL",
    "BOIL",
    "MAML",
    "Check",
    "Classifier",
    "ClipByNorm",
    "ClipByValue",
    "Ensemble",
    "FineTune",
    "Learner",
    "MAMLPlusPlus",
    "MatchingNet",
    "MetaSGD",
    "NearestNeighbor",
    "NonFinite",
    "ProtoNet",
    "Reptile",
    "Siamese",
    "View",
    "find_nonfinite",
    "load",
    "twice_differentiable",
]

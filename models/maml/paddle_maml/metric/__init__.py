"""Few-shot classification by comparing embeddings with those of the support set."""

from .matching_net import MatchingNet
from .method import MetricMethod
from .proto_net import ProtoNet
from .siamese import Siamese

__all__ = ["MatchingNet", "MetricMethod", "ProtoNet", "Siamese"]

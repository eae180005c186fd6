"""The blocks of convolutions in C++, for the CPU, compiled when they are first needed.

The same formulas as in `paddle_maml.batched.stages`, in an order that spares memory: images instead
of patches, first layers whose outputs are never kept, batch norm, ReLU and pooling in few passes,
tiles that stay in the caches, and matrix products at the speed of the processor's vector units. The
tasks are shared out to the processor's cores.
"""

from .library import library
from .stages import NativeBlock

__all__ = ["NativeBlock", "library"]

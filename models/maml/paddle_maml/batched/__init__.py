"""Many tasks at once: the meta-gradient of networks made of known layers, written out by hand.

Every array has a leading axis for the task, parameters too, and every operation is one kernel for
all tasks: products are batched, and nothing is recorded for automatic differentiation.

The meta-gradient needs, for each inner step theta' = theta - R grad L(theta) with its rates R, a
number for each parameter, the product of the step's transposed Jacobian with the gradient v that
arrives from behind,

    v <- v - H R v,

with the Hessian H of the support loss; the gradient in the rates themselves is -v grad L, number by
number. Where the gradient is cut before the step follows it, H C takes the place of H, with the
derivative C of the cut, a symmetric matrix. H v is the derivative of grad L along v (Pearlmutter,
1994, "Fast exact multiplication by the Hessian"): one pass that differentiates the forward pass
along v, and one that differentiates the backward pass. So each stage of a network has four methods,

    forward(x, w)                        y, and what the others need of the point
    backward(point, w, gy)               gx and gw, the gradients in x and w for gy, that in y
    tangent(point, w, dx, dw)            dy, the derivative of `forward` along (dx, dw)
    curvature(point, w, dw, gy, dgy)     dgx and dgw, the derivative of `backward` along dw and dgy

of which `backward` and `tangent` add to the point what `curvature` needs. An input that is data has
neither gradient nor derivative: gx and dx are None there.
"""

from .network import Network

__all__ = ["Network"]

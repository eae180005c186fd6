"""Reference meta-gradients, computed with PyTorch autograd in float64.

    pip install torch numpy && python make_oracle.py

Every case is one .npz: the initial parameters `param/<i>/<name>`, the episodes
(`support_x`, `support_y`, `query_x`, `query_y`, leading axis = task), the setting, and the
expected `query_loss` (mean over tasks of the mean query loss), `query_logits`, and
`meta_grad/<i>/<name>` = d query_loss / d initial parameter.

Definitions (the maths that an implementation has to match):
  conv4 'pool'   : 4 x [conv 3x3 stride 1 pad 1 -> batch norm -> ReLU -> 2x2 max-pool, floor] -> flatten (C,H,W) -> linear
  conv4 'stride' : 4 x [conv 3x3 stride 2 pad 1 -> batch norm -> ReLU] -> mean over H,W -> linear
  batch norm     : statistics of the batch at hand, always (transductive), biased variance, eps 1e-5,
                   gamma and beta are adapted by the inner loop like every other parameter
  linear         : weight is stored (in, out)
  inner step     : theta <- theta - inner_lr * grad(mean support loss), all tasks from the same theta
  order 2        : the meta-gradient goes through the inner gradients;  order 1 : it does not (FOMAML)
  loss           : mean cross-entropy, or mean squared error for the sinusoid
"""

import os

import numpy as np
import torch
import torch.nn.functional as F

HERE = os.path.dirname(os.path.abspath(__file__))


def conv4_params(rng, channels, filters, features, way):
    names, values, cin = [], [], channels
    for i in range(4):
        names += [f"conv{i}.weight", f"conv{i}.bias", f"bn{i}.weight", f"bn{i}.bias"]
        values += [
            rng.normal(0, (2 / (9 * cin)) ** 0.5, (filters, cin, 3, 3)),
            rng.normal(0, 0.1, filters),
            rng.normal(1, 0.3, filters),
            rng.normal(0, 0.1, filters),
        ]
        cin = filters
    names += ["linear.weight", "linear.bias"]
    values += [rng.normal(0, features**-0.5, (features, way)), rng.normal(0, 0.1, way)]
    return names, values


def conv4(x, p, arch):
    for i in range(4):
        w, b, g, beta = p[4 * i : 4 * i + 4]
        x = F.conv2d(x, w, b, stride=1 if arch == "pool" else 2, padding=1)
        x = F.relu(F.batch_norm(x, None, None, g, beta, training=True, eps=1e-5))
        if arch == "pool":
            x = F.max_pool2d(x, 2)
    x = x.flatten(1) if arch == "pool" else x.mean((2, 3))
    return x @ p[16] + p[17]


def mlp_params(rng, sizes):
    names, values = [], []
    for i, (a, b) in enumerate(zip(sizes, sizes[1:])):
        names += [f"linear{i}.weight", f"linear{i}.bias"]
        values += [rng.normal(0, a**-0.5, (a, b)), rng.normal(0, 0.1, b)]
    return names, values


def mlp(x, p, _):
    for i in range(0, len(p) - 2, 2):
        x = F.relu(x @ p[i] + p[i + 1])
    return x @ p[-2] + p[-1]


def meta_gradient(net, arch, values, sx, sy, qx, qy, inner_lr, steps, order, regression):
    loss_of = F.mse_loss if regression else F.cross_entropy
    theta = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in values]
    losses, logits = [], []
    for t in range(len(sx)):
        fast = theta
        for _ in range(steps):
            g = torch.autograd.grad(
                loss_of(net(sx[t], fast, arch), sy[t]), fast, create_graph=order == 2
            )
            fast = [f - inner_lr * (gi if order == 2 else gi.detach()) for f, gi in zip(fast, g)]
        out = net(qx[t], fast, arch)
        logits.append(out.detach().numpy())
        losses.append(loss_of(out, qy[t]))
    loss = torch.stack(losses).mean()
    return loss.item(), np.stack(logits), [g.numpy() for g in torch.autograd.grad(loss, theta)]


def case(
    name,
    seed,
    arch,
    way,
    shot,
    query,
    tasks,
    steps,
    order,
    inner_lr,
    image=28,
    channels=1,
    filters=8,
):
    rng = np.random.default_rng(seed)
    regression = arch == "sinusoid"
    if regression:
        names, values = mlp_params(rng, [1, 40, 40, 1])
        amp, phase = rng.uniform(0.1, 5, (tasks, 1, 1)), rng.uniform(0, np.pi, (tasks, 1, 1))
        sx, qx = rng.uniform(-5, 5, (tasks, shot, 1)), rng.uniform(-5, 5, (tasks, query, 1))
        sy, qy = amp * np.sin(sx - phase), amp * np.sin(qx - phase)
        net = mlp
    else:
        side = image
        for _ in range(4):
            side = side // 2 if arch == "pool" else (side + 1) // 2
        names, values = conv4_params(
            rng, channels, filters, filters * side * side if arch == "pool" else filters, way
        )
        proto = rng.normal(0, 1, (tasks, way, 1, channels, image, image))
        make = lambda k: (
            proto + rng.normal(0, 1, (tasks, way, k, channels, image, image))
        ).reshape(tasks, way * k, channels, image, image)
        sx, qx = make(shot), make(query)
        sy, qy = (np.tile(np.repeat(np.arange(way), k), (tasks, 1)) for k in (shot, query))
        net = conv4
    t = lambda a: torch.tensor(a, dtype=torch.float64 if a.dtype.kind == "f" else torch.int64)
    loss, logits, grads = meta_gradient(
        net, arch, values, t(sx), t(sy), t(qx), t(qy), inner_lr, steps, order, regression
    )
    out = dict(
        arch=arch,
        steps=steps,
        order=order,
        inner_lr=inner_lr,
        way=way,
        support_x=sx,
        support_y=sy,
        query_x=qx,
        query_y=qy,
        query_loss=loss,
        query_logits=logits,
    )
    for i, (n, v, g) in enumerate(zip(names, values, grads)):
        out[f"param/{i:02d}/{n}"], out[f"meta_grad/{i:02d}/{n}"] = v, g
    np.savez_compressed(os.path.join(HERE, name + ".npz"), **out)
    print(
        f"{name:40s} query_loss {loss:.12f}  |meta_grad| {sum((g**2).sum() for g in grads) ** 0.5:.12f}"
    )


if __name__ == "__main__":
    case("conv4_pool_5w1s_1step_order2", 1, "pool", 5, 1, 3, 2, 1, 2, 0.4)
    case("conv4_pool_5w1s_1step_order1", 1, "pool", 5, 1, 3, 2, 1, 1, 0.4)
    case("conv4_pool_5w2s_5step_order2", 2, "pool", 5, 2, 3, 2, 5, 2, 0.1)
    case("conv4_stride_5w1s_3step_order2", 3, "stride", 5, 1, 2, 3, 3, 2, 0.4)
    case("mlp_sinusoid_10shot_1step_order2", 4, "sinusoid", 1, 10, 10, 4, 1, 2, 0.01)
    case("mlp_sinusoid_10shot_5step_order2", 5, "sinusoid", 1, 10, 10, 4, 5, 2, 0.01)

"""JAX: `jit`, `vmap` or `scan`, optax; the tasks dealt out to one XLA device per core.

Two forms, one for each kind of network. Pooled: XLA's convolution with a weight
gradient of its own, task after task through one compiled function, dispatched asynchronously to
the devices. Strided: convolution as a product with patches, one compiled meta-step that scans the
tasks; inside a scan, and with a weight per task, XLA's own convolutions are many times slower.
"""

import math
import os
from functools import partial

import numpy as np

CORES = len(os.sched_getaffinity(0))
os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={CORES}"
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_TRACEBACK_FILTERING"] = "off"  # so that an error's last line is the error
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import optax  # noqa: E402
from jax import lax  # noqa: E402
from jax.sharding import PartitionSpec  # noqa: E402


def build(job, parameters, tasks):
    jax.config.update("jax_enable_x64", job.dtype == "float64")
    theta, batch = native(parameters), [channels_last(t) for t in tasks]
    devices = jax.devices()[: max(n for n in range(1, CORES + 1) if len(batch[0]) % n == 0)]
    form = task_by_task if job.setting.pool else scanned
    meta_gradient = form(job.setting, batch, devices)
    optimizer = optax.adam(0.001)
    state = jax.jit(optimizer.init)(theta)

    @jax.jit
    def follow(theta, state, gradients):
        updates, state = optimizer.update(gradients, state)
        return optax.apply_updates(theta, updates), state

    def step():
        nonlocal theta, state
        gradients = meta_gradient(theta)
        theta, state = jax.block_until_ready(follow(theta, state, gradients))
        return gradients

    return step


def task_by_task(setting, batch, devices):
    """theta -> meta-gradient, by a compiled function of one task."""

    @partial(jax.jit, donate_argnums=0)
    def add(total, theta, *task):
        return jax.tree.map(jnp.add, total, jax.grad(query_loss, 1)(setting, theta, *task))

    mean = jax.jit(lambda *totals: jax.tree.map(lambda *g: sum(g) / setting.tasks, *totals))
    dealt = [jax.device_put(task, devices[i % len(devices)]) for i, task in enumerate(zip(*batch))]

    def meta_gradient(theta):
        copies = [jax.device_put(theta, device) for device in devices]
        totals = [jax.tree.map(jnp.zeros_like, copy) for copy in copies]
        for i, task in enumerate(dealt):
            i %= len(devices)
            totals[i] = add(totals[i], copies[i], *task)
        return mean(*(jax.device_put(total, devices[0]) for total in totals))

    return meta_gradient


def scanned(setting, batch, devices):
    """theta -> meta-gradient, all in one compiled function."""
    mesh = jax.make_mesh((len(devices),), ("task",), devices=devices)
    everywhere, by_task = PartitionSpec(), PartitionSpec("task")

    def share(theta, *tasks):
        def add(total, task):
            return jax.tree.map(
                jnp.add, total, jax.grad(query_loss, 1)(setting, theta, *task)
            ), None

        total, _ = lax.scan(add, jax.tree.map(jnp.zeros_like, theta), tasks)
        return jax.tree.map(lambda g: lax.psum(g, "task") / setting.tasks, total)

    specs = everywhere, by_task, by_task, by_task, by_task
    whole = jax.shard_map(share, mesh=mesh, in_specs=specs, out_specs=everywhere, check_vma=False)
    placed = [jax.device_put(array, jax.NamedSharding(mesh, by_task)) for array in batch]
    compiled = jax.jit(whole)
    return lambda theta: compiled(theta, *placed)


def query_loss(setting, theta, support_x, support_y, query_x, query_y):
    """The query loss of one task after adaptation."""
    for _ in range(setting.inner_steps):
        found = jax.grad(loss, 1)(setting, theta, support_x, support_y)
        found = found if setting.order == 2 else lax.stop_gradient(found)
        theta = [p - setting.inner_lr * g for p, g in zip(theta, found)]
    return loss(setting, theta, query_x, query_y)


def loss(setting, theta, x, y):
    for block in range(4):
        weight, scale, shift = theta[3 * block : 3 * block + 3]
        x = convolved(x, weight) if setting.pool else patches(x, 2) @ weight.reshape(-1, len(scale))
        x = x - x.mean((0, 1, 2))
        x = jax.nn.relu(x * (scale * lax.rsqrt((x * x).mean((0, 1, 2)) + 1e-5)) + shift)
        x = pooled(x) if setting.pool else x
    x = x.reshape(len(x), -1) if setting.pool else x.mean((1, 2))
    logits = jax.nn.log_softmax(x @ theta[12] + theta[13])
    return -jnp.take_along_axis(logits, y[:, None], 1).mean()


@jax.custom_vjp
def convolved(x, weight):
    """3x3, stride 1, padding 1: (image, row, column, channel) and (3, 3, in, out)."""
    return lax.conv_general_dilated(
        x, weight, (1, 1), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def convolved_backward(saved, g):
    """The gradients in x and in the weight, the latter by matrix products, which are faster."""
    x, weight = saved
    g_x = convolved(g, weight[::-1, ::-1].swapaxes(2, 3))
    channels, flat_g = x.shape[-1], g.reshape(-1, g.shape[-1])
    if channels < 16:
        g_weight = patches(x, 1).reshape(len(flat_g), -1).T @ flat_g
    else:
        g_weight = jnp.stack([v.reshape(-1, channels).T @ flat_g for v in views(x, 1)])
    return g_x, g_weight.reshape(weight.shape)


convolved.defvjp(lambda x, weight: (convolved(x, weight), (x, weight)), convolved_backward)


def patches(x, stride):
    """The 3x3 neighbourhoods (padding 1), one after the other on the last axis."""
    return jnp.concatenate(views(x, stride), -1)


def views(x, stride):
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = x.shape[1] - 2, x.shape[2] - 2
    return [
        x[:, i : i + height : stride, j : j + width : stride] for i in range(3) for j in range(3)
    ]


def pooled(x):
    """2x2 max-pooling out of selects.

    With jnp.maximum the derivative asks whether x equals the maximum, which XLA may compute again
    with other rounding: gradients would get lost.
    """
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    best = x[:, :height:2, :width:2]
    for i, j in ((0, 1), (1, 0), (1, 1)):
        corner = x[:, i:height:2, j:width:2]
        best = jnp.where(best >= corner, best, corner)
    return best


def channels_last(array):
    """Images (task, image, channel, row, column) -> (task, image, row, column, channel)."""
    return np.moveaxis(array, 2, -1) if array.ndim == 5 else array


def native(parameters):
    """`job.parameters` -> convolutions (3, 3, in, out), features in order row, column, channel."""
    values = [p.transpose(2, 3, 1, 0) if p.ndim == 4 else p for p in parameters]
    filters, (features, way) = len(values[10]), values[12].shape
    side = math.isqrt(features // filters)
    values[12] = values[12].reshape(filters, side, side, way).transpose(1, 2, 0, 3)
    values[12] = values[12].reshape(features, way)
    return [jnp.asarray(p) for p in values]


def canonical(gradients):
    """The gradients as numpy arrays in the shapes of `job.parameters`."""
    values = [np.asarray(g) for g in gradients]
    filters, (features, way) = len(values[10]), values[12].shape
    side = math.isqrt(features // filters)
    values[12] = values[12].reshape(side, side, filters, way).transpose(2, 0, 1, 3)
    values[12] = values[12].reshape(features, way)
    return [g.transpose(3, 2, 0, 1) if g.ndim == 4 else g for g in values]

"""A process that works for long keeps its memory, open files and threads as they are."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

WARM_UP = 500
MODEL = Path(__file__).parents[1] / "models/maml"


def meta_steps(net, shape: tuple, tasks: int = 2):
    """Training steps on batches of tasks of two classes."""
    import paddle
    from paddle_maml import MAML

    maml = MAML(net, inner_lr=0.1)
    optimizer = paddle.optimizer.Adam(0.001, parameters=maml.parameters())

    def step():
        loss, _ = maml(*batch(shape, tasks))
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()

    return step


def batch(shape: tuple, tasks: int) -> list:
    """Support and query sets, new tensors every time, as from a reader."""
    import paddle

    # Not by to_tensor, in which Paddle 3.3 keeps a list for ever.
    sets = (paddle.randn([tasks, 2, *shape]), paddle.arange(2).expand([tasks, 2]))
    return [*sets, *sets]


def adaptations(net, shape: tuple):
    """Adapting to a task by itself, and to tasks together as a meta-test does."""
    from paddle_maml import MAML

    maml = MAML(net, inner_lr=0.1)

    def step():
        support_x, support_y, query_x, _ = batch(shape, 2)
        maml.adapt(support_x[0], support_y[0])(query_x[0])
        maml.path_logits(support_x, support_y, query_x, 1)

    return step


def strided():
    """A network whose tasks are computed together by the compiled blocks."""
    from net import Conv4

    return Conv4(way=2, image_side=8, filters=16, pool=False), (1, 8, 8)


def rows():
    """One whose tasks are computed together by Paddle's kernels."""
    from net import MLP

    return MLP(4, 2, hidden=[8]), (4,)


def own():
    """One that is differentiated task by task, most of it by the replaced operators."""
    from paddle import nn

    layers = nn.Conv2D(1, 2, 3), nn.BatchNorm2D(2), nn.GELU(), nn.MaxPool2D(2), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(2, 2)), (1, 4, 4)


def tasks():
    """Tasks of the sample data, read by one iterator after the other."""
    from omniglot_reader import RecDataset

    directory = MODEL / "data/sample_data/train"
    config = {"config_abs_dir": str(MODEL), "runner.train_data_dir": str(directory)}
    config |= {"hyper_parameters.tasks_per_epoch": 50, "hyper_parameters.k_query": 5}
    dataset = RecDataset([str(directory / "x")], config)
    iterator = iter(())

    def step():
        nonlocal iterator
        if next(iterator, None) is None:
            iterator = iter(dataset)

    return step


def predictions():
    """What a saved classifier says of an image file; both are written to where the process runs."""
    import paddle_maml
    from paddle_maml.pixel_scale import INK
    from PIL import Image

    net, shape = strided()
    support_x, support_y, *_ = (tensor[0] for tensor in batch(shape, 1))
    learner = paddle_maml.MAML(net, 0.1).adapt(support_x, support_y)
    learner.save("saved", support_x, ["a", "b"], INK)
    Image.new("L", (8, 8)).save("image.png")
    classifier = paddle_maml.load("saved")
    return lambda: classifier.predict(classifier.read("image.png"))


KINDS = {
    "meta-steps, compiled blocks": lambda: meta_steps(*strided()),
    "meta-steps, tasks together": lambda: meta_steps(*rows()),
    "meta-steps, task by task": lambda: meta_steps(*own(), tasks=1),
    "adaptations, compiled blocks": lambda: adaptations(*strided()),
    "adaptations, task by task": lambda: adaptations(*own()),
    "tasks": tasks,
    "predictions": predictions,
}


def state() -> dict[str, int]:
    """What the process holds; memory in bytes."""
    gc.collect()
    objects = len(gc.get_objects())  # first: it takes a megabyte for a moment
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "memory": pages * os.sysconf("SC_PAGE_SIZE"),
        "objects": objects,
        "files": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
    }


def work(kind: str, steps: int) -> None:
    step = KINDS[kind]()
    for _ in range(WARM_UP):
        step()
    before = state()
    for _ in range(steps):
        step()
    print(json.dumps([before, state()]))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux tells what it holds")
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_grows(kind, tmp_path):
    """In a process of its own: what another kind has freed would be taken first."""
    steps = 200 if kind == "predictions" else 2000
    path = os.pathsep.join(os.path.abspath(place) for place in sys.path)
    # Threads that spin while they wait take the core from each other on a busy machine.
    environment = {**os.environ, "PYTHONPATH": path, "OMP_WAIT_POLICY": "passive"}
    command = [sys.executable, __file__, kind, str(steps)]
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    before, after = json.loads(done.stdout.splitlines()[-1])
    print(f"{kind}: {steps} after {WARM_UP}: {before} -> {after}")
    assert after["memory"] <= 1.02 * before["memory"]
    # In each prediction there is a to_tensor, in which Paddle 3.3 keeps a list for ever.
    spare = 100 + (steps if kind == "predictions" else 0)
    assert after["objects"] <= before["objects"] + spare
    assert (after["files"], after["threads"]) == (before["files"], before["threads"])


if __name__ == "__main__":
    work(sys.argv[1], int(sys.argv[2]))

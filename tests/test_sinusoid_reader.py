"""The sinusoids: ranges, what is told to whom, and that a task is the same wherever it is drawn."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import paddle
import pytest
from paddle.io import DataLoader
from paddle_maml.errors import UserError
from sinusoid_reader import RANGES, RecDataset

DATA = Path(__file__).parents[1] / "models/maml/data/sinusoid"
SHOT, QUERY, QUERY_TEST = 10, 7, 30


def reader(split="train", data=DATA, **changes):
    config = {
        "config_abs_dir": str(data),
        "runner.train_data_dir": "train",
        "runner.valid_data_dir": "val",
        "runner.test_data_dir": "test",
        "runner.train_batch_size": 4,
        "runner.infer_batch_size": 4,
        "runner.valid_tasks": 12,
        "runner.infer_tasks": 12,
        "runner.seed": changes.pop("seed", 1),
        "hyper_parameters.loss": "mse",
        "hyper_parameters.network": "mlp",
        "hyper_parameters.k_spt": SHOT,
        "hyper_parameters.k_query": QUERY,
        "hyper_parameters.k_query_test": QUERY_TEST,
        "hyper_parameters.tasks_per_epoch": 12,
    }
    config.update({f"hyper_parameters.{name}": value for name, value in changes.items()})
    return RecDataset([str(path) for path in (data / split).iterdir()], config)


def as_bytes(tasks) -> list[bytes]:
    return [b"".join(np.ascontiguousarray(part).tobytes() for part in task) for task in tasks]


@pytest.mark.parametrize(("split", "query"), [("train", QUERY), ("val", QUERY_TEST)])
def test_shapes_and_types(split, query):
    for task in reader(split):
        assert [part.shape for part in task] == [(SHOT, 1)] * 2 + [(query, 1)] * 2
        assert {part.dtype for part in task} == {np.dtype(np.float32)}


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_every_task_is_one_sinusoid_of_the_papers_ranges(split):
    """a sin(x - p) = a cos(p) sin(x) - a sin(p) cos(x): two numbers, found by least squares."""
    found = []
    for support_x, support_y, query_x, query_y in reader(split, tasks_per_epoch=400):
        x, y = np.concatenate([support_x, query_x]), np.concatenate([support_y, query_y])
        basis = np.concatenate([np.sin(x), -np.cos(x)], 1).astype(np.float64)
        (cosine, sine), *_ = np.linalg.lstsq(basis, y[:, 0].astype(np.float64), rcond=None)
        np.testing.assert_allclose(basis @ [cosine, sine], y[:, 0], atol=1e-5)
        found.append((math.hypot(cosine, sine), math.atan2(sine, cosine)))
        assert len(np.unique(x)) == len(x)  # support and query share no point
    amplitudes, phases = np.array(found).T
    assert 0.1 <= amplitudes.min() and amplitudes.max() <= 5
    assert -1e-6 <= phases.min() and phases.max() <= math.pi + 1e-6


def test_amplitude_phase_and_x_are_uniform():
    tasks = list(reader(tasks_per_epoch=2000, oracle=True))
    amplitudes, phases = np.array([task[0][0, 1:] for task in tasks]).T
    x = np.concatenate([task[part][:, 0] for task in tasks for part in (0, 2)])
    for values, low, high in ((amplitudes, 0.1, 5), (phases, 0, math.pi), (x, -5, 5)):
        assert low <= values.min() and values.max() <= high
        shares = np.histogram((values - low) / (high - low), 4, (0, 1))[0] / len(values)
        assert np.abs(shares - 0.25).max() < 4 * math.sqrt(0.25 * 0.75 / len(values))


def test_the_oracle_is_told_amplitude_and_phase_of_the_same_points():
    for plain, told in zip(reader(), reader(oracle=True)):
        for part in (0, 2):
            x, amplitude, phase = told[part].T
            assert np.array_equal(x, plain[part][:, 0])
            assert len(set(amplitude)) == len(set(phase)) == 1
            y = amplitude * np.sin(x - phase)
            np.testing.assert_allclose(told[part + 1][:, 0], y, atol=1e-5)
            assert np.array_equal(told[part + 1], plain[part + 1])


def test_the_same_seed_split_epoch_and_index_give_the_same_task():
    assert as_bytes(reader()) == as_bytes(reader()) == as_bytes(reader(tasks_per_epoch=20))[:12]
    later = reader()
    later.epoch = 1
    tasks = as_bytes(reader()) + as_bytes(later) + as_bytes(reader(seed=2))
    tasks += as_bytes(reader("val")) + as_bytes(reader("test"))
    assert len(set(tasks)) == 5 * 12


@pytest.mark.parametrize("split", ["train", "test"])
def test_worker_processes_do_not_change_the_batches(split):
    def batches(workers):
        loader = DataLoader(reader(split), batch_size=4, num_workers=workers)
        return as_bytes([tensor.numpy() for tensor in batch] for batch in loader)

    single = batches(0)
    assert len(single) == 3
    for workers in (1, 2):
        assert batches(workers) == single


def test_processes_share_out_the_training_tasks(monkeypatch):
    whole = as_bytes(reader())
    monkeypatch.setattr(paddle.distributed, "get_world_size", lambda: 2)
    shares = []
    for rank in range(2):
        monkeypatch.setattr(paddle.distributed, "get_rank", lambda rank=rank: rank)
        shares.append(as_bytes(reader()))
    assert shares == [whole[::2], whole[1::2]]


def test_ranges_of_ones_own(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / RANGES).write_text("amplitude: [2, 2]\nphase: [0, 0]\nx: [0, 1]\n")
    support_x, support_y, *_ = next(iter(reader(data=tmp_path)))
    assert 0 <= support_x.min() and support_x.max() <= 1
    np.testing.assert_allclose(support_y, 2 * np.sin(support_x), rtol=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "amplitude: [0, 1]",
        "amplitude: [0, 1]\nphase: [0, 1]\nx: [1, 0]",
        "amplitude: [0, 1]\nphase: [0, 1]\nx: [0, .inf]",
        "amplitude: [0, 1]\nphase: [0, 1]\nx: 5",
        "amplitude: [0, 1]\nphase: [0, 1]\nx: [0, one]",
        "amplitude: [",
        "amplitude: !!bool perhaps\nphase: [0, 1]\nx: [0, 1]",
        "amplitude: &a [0, 1]\nphase: *a\nx: *a",
        "amplitude: [0, 1]\nphase: [0, 1]\nx: [-1.0e+308, 1.0e+308]",
        f"amplitude: [0, 1]\nphase: [0, 1]\nx: [0, 1{'0' * 400}]",
        f"amplitude: {'[' * 5000}",
    ],
)
def test_damaged_ranges(tmp_path, text):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / RANGES).write_text(text)
    with pytest.raises(UserError, match="has to give amplitude, phase and x as"):
        reader(data=tmp_path)


def test_another_directory(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train/image.png").touch()
    with pytest.raises(UserError, match=f"{RANGES} has to give"):
        reader(data=tmp_path)


def test_a_loss_for_classes():
    with pytest.raises(UserError, match="loss is 'cross_entropy', but .* set it to mse"):
        reader(loss="cross_entropy")

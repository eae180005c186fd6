"""The reader, on made-up images whose grey level tells class and image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle
import pytest
from omniglot_reader import RecDataset
from paddle.io import DataLoader
from paddle_maml.errors import UserError
from PIL import Image

CLASSES, IMAGES = 12, 8
SAMPLE = Path(__file__).parents[1] / "models/maml/data/sample_data"


def grey(c: int, i: int) -> int:
    return 20 * c + i


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Splits train, val and test with the same images; only the name of the split differs."""
    root = tmp_path_factory.mktemp("data")
    for split in ("train", "val", "test"):
        for c in range(CLASSES):
            folder = root / split / f"class{c:02d}"
            folder.mkdir(parents=True)
            for i in range(IMAGES):
                Image.new("L", (4, 4), grey(c, i)).save(folder / f"{i}.png")
    return root


def reader(root: Path, split: str = "train", **changes):
    config = {
        "config_abs_dir": str(root),
        "runner.train_data_dir": "train",
        "runner.valid_data_dir": "val",
        "runner.test_data_dir": "test",
        "runner.train_batch_size": 4,
        "runner.infer_batch_size": 4,
        "runner.valid_tasks": 10,
        "runner.infer_tasks": 10,
        "runner.seed": changes.pop("seed", 1),
        "hyper_parameters.n_way": 5,
        "hyper_parameters.k_spt": 2,
        "hyper_parameters.k_query": 3,
        "hyper_parameters.tasks_per_epoch": 12,
        "hyper_parameters.rotation": False,
        "hyper_parameters.imgsize": 4,
        "hyper_parameters.conv_stride": 2,
    }
    config.update({f"hyper_parameters.{name}": value for name, value in changes.items()})
    return RecDataset([str(path) for path in (root / split).iterdir()], config)


def as_bytes(tasks) -> list[bytes]:
    return [b"".join(np.ascontiguousarray(a).tobytes() for a in task) for task in tasks]


def greys(images) -> np.ndarray:
    """The grey level of each image."""
    return np.rint(255 * (1 - images[:, 0, 0, 0])).astype(int)


def test_shapes_and_types(data):
    support_x, support_y, query_x, query_y = next(iter(reader(data)))
    assert support_x.shape == (10, 1, 4, 4) and query_x.shape == (15, 1, 4, 4)
    assert support_x.dtype == query_x.dtype == np.float32
    assert support_y.tolist() == np.repeat(range(5), 2).tolist()
    assert query_y.tolist() == np.repeat(range(5), 3).tolist()
    assert support_y.dtype == query_y.dtype == np.int64


def test_validation_has_its_own_number_of_queries(data):
    for split, queries in [("train", 3), ("val", 6), ("test", 6)]:
        _, _, _, query_y = next(iter(reader(data, split, k_query_test=6)))
        assert len(query_y) == 5 * queries


def test_support_and_query_are_different_images_of_the_same_classes(data):
    for support_x, support_y, query_x, query_y in reader(data):
        assert len({*greys(support_x), *greys(query_x)}) == 5 * (2 + 3)
        classes = dict(zip(support_y, greys(support_x) // 20))
        assert len(set(classes.values())) == 5
        assert [classes[y] for y in support_y] == (greys(support_x) // 20).tolist()
        assert [classes[y] for y in query_y] == (greys(query_x) // 20).tolist()


def test_a_class_has_another_label_from_task_to_task(data):
    labels = {c: set() for c in range(CLASSES)}
    for support_x, support_y, _, _ in reader(data, tasks_per_epoch=100):
        for c, label in zip(greys(support_x) // 20, support_y):
            labels[c].add(label)
    assert all(seen == set(range(5)) for seen in labels.values())


def test_the_same_seed_split_epoch_and_index_give_the_same_task(data):
    first = as_bytes(reader(data))
    assert as_bytes(reader(data)) == first
    assert as_bytes(reader(data, tasks_per_epoch=20))[:12] == first


def test_seed_split_epoch_and_index_each_give_other_tasks(data):
    train = reader(data, tasks_per_epoch=200)
    first, second = as_bytes(train), as_bytes(train)
    tasks = [*first, *second]
    tasks += as_bytes(reader(data, seed=2))
    tasks += as_bytes(reader(data, "val")) + as_bytes(reader(data, "test"))
    assert len(tasks) == 432
    assert len(set(tasks)) == len(tasks)


def test_an_iterator_opened_and_dropped_changes_nothing(data):
    disturbed, plain = reader(data), reader(data)
    assert any(disturbed)
    next(iter(disturbed))
    assert as_bytes(disturbed) == as_bytes(plain)
    assert any(disturbed)
    assert as_bytes(disturbed) == as_bytes(plain)


@pytest.mark.parametrize("split", ["val", "test"])
def test_evaluation_reads_the_same_tasks_every_time(data, split):
    evaluation = reader(data, split)
    assert as_bytes(evaluation) == as_bytes(evaluation)


def test_only_training_rotates(tmp_path):
    mark = np.full((4, 4), 255, np.uint8)
    mark[0, 0] = 0
    for split in ("train", "val", "test"):
        for c in range(5):
            (tmp_path / split / str(c)).mkdir(parents=True)
            for i in range(5):
                Image.fromarray(mark).save(tmp_path / split / str(c) / f"{i}.png")
    corners = {}
    for split in ("train", "val", "test"):
        tasks = list(reader(tmp_path, split, rotation=True))
        images = np.concatenate([np.concatenate([task[0], task[2]]) for task in tasks])
        corners[split] = {tuple(image) for image in images[:, 0, ::3, ::3].reshape(-1, 4)}
    assert len(corners["train"]) == 4
    assert corners["val"] == corners["test"] == {(1, 0, 0, 0)}


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("split", ["train", "val"])
def test_worker_processes_do_not_change_the_batches(data, workers, split):
    def batches(num_workers):
        loader = DataLoader(
            reader(data, split), batch_size=4, drop_last=split == "train", num_workers=num_workers
        )
        return [[tensor.numpy() for tensor in batch] for batch in loader]

    single = batches(0)
    assert [len(batch[0]) for batch in single] == [4, 4, 4 if split == "train" else 2]
    assert as_bytes(batches(workers)) == as_bytes(single)


def test_processes_share_out_the_training_tasks(data, monkeypatch):
    whole = as_bytes(reader(data))
    monkeypatch.setattr(paddle.distributed, "get_world_size", lambda: 2)
    shares = []
    for rank in range(2):
        monkeypatch.setattr(paddle.distributed, "get_rank", lambda rank=rank: rank)
        shares.append(as_bytes(reader(data)))
        assert len(as_bytes(reader(data, "val"))) == 10
    assert [len(share) for share in shares] == [6, 6]
    assert sorted(shares[0] + shares[1]) == sorted(whole)


def test_every_process_has_as_many_batches_whatever_its_workers(data, monkeypatch):
    """15 tasks in batches of 4 for 2 processes: 3 batches of 2 tasks for each."""
    monkeypatch.setattr(paddle.distributed, "get_world_size", lambda: 2)
    for rank in range(2):
        monkeypatch.setattr(paddle.distributed, "get_rank", lambda rank=rank: rank)
        found = []
        for workers in (0, 2):
            dataset = reader(data, tasks_per_epoch=15)
            loader = DataLoader(dataset, batch_size=2, drop_last=True, num_workers=workers)
            found.append(as_bytes([tensor.numpy() for tensor in batch] for batch in loader))
        assert len(found[0]) == 3
        assert found[0] == found[1]


def test_a_directory_of_two_splits_is_warned_of(data):
    config = {"config_abs_dir": str(data), "hyper_parameters.imgsize": 16}
    config |= {f"runner.{split}_data_dir": "train" for split in ("train", "test")}
    with pytest.warns(UserWarning, match="the train and the test directory"):
        RecDataset([str(data / "train" / "class00")], {**config, "hyper_parameters.k_query": 2})


def test_ink_is_one_and_paper_zero(tmp_path):
    for c, level in enumerate([0, 51]):
        (tmp_path / "train" / str(c)).mkdir(parents=True)
        for i in range(2):
            Image.new("L", (4, 4), level).save(tmp_path / "train" / str(c) / f"{i}.png")
    support_x, *_ = next(iter(reader(tmp_path, n_way=2, k_spt=1, k_query=1)))
    assert sorted(support_x[:, 0, 0, 0].tolist()) == pytest.approx([0.8, 1])


def test_too_few_classes(data):
    with pytest.raises(UserError, match="has 12 classes, fewer than hyper_parameters.n_way = 13"):
        reader(data, n_way=13)


def test_too_few_images(data):
    with pytest.raises(UserError, match=r"class00 in .* has 8 images, fewer than .* = 2 \+ 7"):
        reader(data, k_query=7)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_the_sample_data_can_be_read(split):
    support_x, support_y, query_x, query_y = next(iter(reader(SAMPLE, split, imgsize=28)))
    assert support_x.shape == (10, 1, 28, 28) and query_x.shape == (15, 1, 28, 28)
    assert 0 < support_x.mean() < 0.5  # more paper than ink
    assert len(np.unique(np.concatenate([support_x, query_x]), axis=0)) == 25

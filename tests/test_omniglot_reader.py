"""The reader, on made-up images whose grey level tells class and image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle
import pytest
from omniglot_reader import RecDataset
from paddle.io import DataLoader
from paddle_maml.errors import UserError
from paddle_maml.image_classes import save_image_classes
from paddle_maml.image_directory import load_image_classes
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
        "runner.train_batch_size": changes.pop("batch_size", 4),
        "runner.use_fleet": changes.pop("fleet", False),
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


def test_pretraining_alone_is_told_the_numbers_of_the_classes(data):
    pretrained = {"algorithm": "nearest_neighbor", "pretrain_classes": CLASSES}
    for task, plain in zip(reader(data, **pretrained), reader(data)):
        *task, classes = task
        assert classes.dtype == np.int64
        assert classes.tolist() == (greys(task[0]) // 20)[::2].tolist()
        assert as_bytes([task]) == as_bytes([plain])
    for split in ("val", "test"):
        assert len(next(iter(reader(data, split, **pretrained)))) == 4
    with pytest.raises(UserError, match=f"is 5, but .* has {CLASSES} classes: set it to {CLASSES}"):
        reader(data, algorithm="fine_tune", pretrain_classes=5)
    with pytest.raises(UserError, match=f"3 rotations of each: set it to {4 * CLASSES}"):
        reader(data, algorithm="fine_tune", pretrain_classes=5, rotation=True)


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


def test_the_support_set_can_be_the_queries_of_training_alone(data):
    """Train-train tasks need no more images than the support set's."""
    for support_x, support_y, query_x, query_y in reader(data, k_spt=IMAGES, query_set="support"):
        assert np.array_equal(query_x, support_x) and np.array_equal(query_y, support_y)
        assert len(query_y) == 5 * IMAGES
    for support_x, _, query_x, _ in reader(data, "val", query_set="support"):
        assert len({*greys(support_x), *greys(query_x)}) == 5 * (2 + 3)


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
    first, train.epoch = as_bytes(train), 1
    second = as_bytes(train)
    tasks = [*first, *second]
    tasks += as_bytes(reader(data, seed=2))
    tasks += as_bytes(reader(data, "val")) + as_bytes(reader(data, "test"))
    assert len(tasks) == 432
    assert len(set(tasks)) == len(tasks)


def paddlerec_epochs(dataset, workers, epochs=3):
    """The batches that PaddleRec's trainer trains on, epoch by epoch; it never sets `epoch`."""
    loader = DataLoader(dataset, batch_size=4, drop_last=True, num_workers=workers)
    for _ in range(epochs):
        assert any(loader())  # it opens the reader once more and drops it
        seen = []
        for batch in loader():
            dataset.config["meta_steps"] = dataset.config.get("meta_steps", 0) + 1
            seen.append([tensor.numpy() for tensor in batch])
        yield as_bytes(seen)


@pytest.mark.parametrize("batches", [1, 3, 20])  # the DataLoader prefetches a few
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_epochs_follow_from_the_meta_steps_made(data, batches, workers):
    plain, wanted = reader(data, tasks_per_epoch=4 * batches), []
    for plain.epoch in range(3):
        loader = DataLoader(plain, batch_size=4)
        wanted.append(as_bytes([tensor.numpy() for tensor in batch] for batch in loader))
    assert len(set(sum(wanted, []))) == 3 * batches
    found = paddlerec_epochs(reader(data, tasks_per_epoch=4 * batches), workers)
    assert list(found) == wanted


@pytest.mark.parametrize("split", ["val", "test"])
def test_evaluation_reads_the_same_tasks_every_time(data, split):
    evaluation = reader(data, split)
    assert as_bytes(evaluation) == as_bytes(evaluation)


@pytest.fixture
def corner(tmp_path):
    """Splits of five classes, all images with one black pixel in the corner at the top left."""
    mark = np.full((4, 4), 255, np.uint8)
    mark[0, 0] = 0
    for split in ("train", "val", "test"):
        for c in range(5):
            (tmp_path / split / str(c)).mkdir(parents=True)
            for i in range(5):
                Image.fromarray(mark).save(tmp_path / split / str(c) / f"{i}.png")
    return tmp_path


def test_in_training_alone_a_task_may_be_turned_as_a_whole(corner):
    for split in ("train", "val", "test"):
        turned = reader(
            corner, split, rotation=True, reflection=True, rotation_test=True, rotation_of="task"
        )
        alike = [len(np.unique(np.concatenate([task[0], task[2]]), axis=0)) for task in turned]
        assert (set(alike) == {1}) == (split == "train")


@pytest.mark.parametrize("tested", [False, True])
def test_evaluation_rotates_only_if_told_to(corner, tested):
    corners = {}
    for split in ("train", "val", "test"):
        tasks = list(reader(corner, split, rotation=not tested, rotation_test=tested))
        images = np.concatenate([np.concatenate([task[0], task[2]]) for task in tasks])
        corners[split] = {tuple(image) for image in images[:, 0, ::3, ::3].reshape(-1, 4)}
    turned, upright = {tuple(corner) for corner in np.eye(4)}, {(1, 0, 0, 0)}
    assert corners["train"] == (upright if tested else turned)
    assert corners["val"] == corners["test"] == (turned if tested else upright)


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


@pytest.mark.parametrize("workers", [0, 1, 2, 4])
def test_two_processes_read_the_tasks_of_one_step_by_step(data, monkeypatch, workers):
    """15 tasks in batches of 4: 3 steps, of 2 tasks for each process, whatever its workers."""

    def steps(batch_size):
        dataset = reader(data, tasks_per_epoch=15)
        loader = DataLoader(dataset, batch_size=batch_size, drop_last=True, num_workers=workers)
        return [as_bytes(zip(*(tensor.numpy() for tensor in batch))) for batch in loader]

    one = steps(batch_size=4)
    assert sum(one, []) == as_bytes(reader(data, tasks_per_epoch=12))
    monkeypatch.setattr(paddle.distributed, "get_world_size", lambda: 2)
    shares = []
    for rank in range(2):
        monkeypatch.setattr(paddle.distributed, "get_rank", lambda rank=rank: rank)
        shares.append(steps(batch_size=2))
    assert [[len(step) for step in share] for share in shares] == [[2, 2, 2]] * 2
    assert [sorted(a + b) for a, b in zip(*shares)] == [sorted(step) for step in one]


def test_with_fleet_every_process_takes_a_whole_batch(data, monkeypatch):
    """Two processes with 4 tasks each train on the tasks of one with 8, step by step."""
    one = DataLoader(reader(data, tasks_per_epoch=20, batch_size=8), batch_size=8, drop_last=True)
    one = [as_bytes(zip(*(tensor.numpy() for tensor in batch))) for batch in one]
    monkeypatch.setattr(paddle.distributed, "get_world_size", lambda: 2)
    for workers in (0, 2):
        shares = []
        for rank in range(2):
            monkeypatch.setattr(paddle.distributed, "get_rank", lambda rank=rank: rank)
            dataset = reader(data, tasks_per_epoch=20, fleet=True)
            loader = DataLoader(dataset, batch_size=4, drop_last=True, num_workers=workers)
            shares.append([as_bytes(zip(*(t.numpy() for t in batch))) for batch in loader])
        assert [len(tasks) for tasks in one] == [8, 8]
        assert [sorted(a + b) for a, b in zip(*shares)] == [sorted(tasks) for tasks in one]
        assert len(shares[0]) == len(shares[1]) == 2


@pytest.mark.parametrize("folders", ["", "a/b", "c"])
def test_inference_reads_the_images_alone(tmp_path, folders):
    (tmp_path / folders).mkdir(parents=True, exist_ok=True)
    for level in (51, 0, 255):
        Image.new("L", (30, 30), level).save(tmp_path / folders / f"{level:03d}.png")
    (tmp_path / "notes.txt").write_text("no image")
    config = {"runner.inference": True}  # the only key that PaddleRec's paddle_infer.py gives
    dataset = RecDataset([str(path) for path in tmp_path.iterdir()], config)
    (batch,) = next(iter(DataLoader(dataset, batch_size=3)))
    assert batch.dtype == paddle.float32 and list(batch.shape) == [3, 1, 28, 28]
    assert batch[:, 0, 14, 14].tolist() == pytest.approx([1, 0.8, 0])
    assert dataset.names == [str(Path(folders, f"{level:03d}.png")) for level in (0, 51, 255)]


def test_inference_reads_packed_images_of_any_size(data, tmp_path):
    classes = load_image_classes(data / "test", 4)
    save_image_classes(tmp_path, classes)
    config = {"runner.inference": True, "hyper_parameters.imgsize": 4}
    dataset = RecDataset([str(path) for path in tmp_path.iterdir()], config)
    images = np.stack([image for (image,) in dataset])
    assert len(dataset) == CLASSES * IMAGES
    assert np.array_equal(np.rint(255 * (1 - images)), classes.images)
    assert dataset.names[IMAGES] == "class01/0"


def test_a_directory_of_two_splits_is_warned_of(data):
    config = {"config_abs_dir": str(data), "hyper_parameters.imgsize": 16}
    config |= {f"runner.{split}_data_dir": "train" for split in ("train", "test")}
    with pytest.warns(UserWarning, match="the train and the test directory"):
        RecDataset([str(data / "train" / "class00")], {**config, "hyper_parameters.k_query": 2})


def test_a_directory_that_no_system_has_is_named(data):
    config = {"config_abs_dir": str(data), "runner.valid_data_dir": "a\0b"}
    with pytest.raises(UserError, match="there is no way to .*: correct the path"):
        RecDataset([str(data / "train" / "class00")], config)


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

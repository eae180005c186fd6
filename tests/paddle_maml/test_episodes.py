"""Episodes, on images that tell their class, their number and which way up they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paddle_maml.episodes import check_enough, check_number, draw_episode, episode_rng
from paddle_maml.errors import UserError
from paddle_maml.image_classes import ImageClasses


@pytest.fixture
def classes():
    """Five classes of six images; the top left pixel is 1 + class, its neighbour 100 + image."""
    images = np.zeros((30, 1, 4, 4), np.uint8)
    images[:, 0, 0, 0] = 1 + np.repeat(range(5), 6)
    images[:, 0, 1, 1] = 100 + np.tile(range(6), 5)
    return ImageClasses(tuple("abcde"), images, np.arange(0, 31, 6))


def numbered(counts: list[int]) -> ImageClasses:
    """Classes of so many images; the corners of an image are its class, its number, 0 and 0."""
    images = [[[c, i], [0, 0]] for c, count in enumerate(counts) for i in range(count)]
    names = tuple(f"class {c}" for c in range(len(counts)))
    return ImageClasses(names, np.array(images, np.uint8)[:, None], np.cumsum([0, *counts]))


def upright(image, turn):
    """An image as it was before the turn."""
    mirrored, quarters = divmod(turn, 4)
    image = np.rot90(image, -quarters)
    return np.fliplr(image) if mirrored else image


KEYS = st.tuples(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["train", "valid", "test"]),
    st.integers(0, 2**31 - 1),
    st.integers(0, 2**31 - 1),
)


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=12),
    *(st.integers(1, 12), st.integers(1, 4), st.integers(0, 4)),
    *(st.sampled_from([1, 4, 8]), st.booleans()),
    KEYS,
)
def test_a_task_has_different_classes_and_different_images_of_each(
    counts, way, shot, query, turns, together, key
):
    classes = numbered(counts)
    try:
        check_enough(classes, "here", way, shot, query)
    except UserError:
        assert len(counts) < way or min(counts) < shot + query
        return
    form = way, shot, query, turns, together
    task, again = (draw_episode(classes, episode_rng(*key), *form) for _ in range(2))
    assert all(np.array_equal(*pair) for pair in zip(task, again))
    numbers, turned = divmod(task.classes, turns)
    assert len({*numbers.tolist()}) == way
    assert task.support_y.tolist() == np.repeat(range(way), shot).tolist()
    assert task.query_y.tolist() == np.repeat(range(way), query).tolist()
    images = np.concatenate([task.support_x, task.query_x])[:, 0]
    seen = set()
    for image, label in zip(images, np.concatenate([task.support_y, task.query_y])):
        (c, i), rest = upright(image, turned[label])
        assert c == numbers[label] and i < counts[c] and not rest.any()
        seen.add((c, i))
    assert len(seen) == len(images) == way * (shot + query)


@given(KEYS, KEYS)
def test_another_key_gives_other_random_numbers(key, other):
    draws = [episode_rng(*k).integers(2**63, size=2).tolist() for k in (key, other)]
    assert (draws[0] == draws[1]) == (key == other)


def test_a_class_is_turned_as_a_whole_and_never_meets_its_own_rotation(classes):
    turns = set()
    for index in range(50):
        task = draw_episode(classes, episode_rng(0, "train", 0, index), 5, 2, 4, turns=4)
        images = np.concatenate([task.support_x, task.query_x])[:, 0]
        labels = np.concatenate([task.support_y, task.query_y])
        drawn = []
        for label in range(5):
            corners = images[labels == label][:, ::3, ::3].reshape(-1, 4)
            assert len(np.unique(corners, axis=0)) == 1
            turns.add(int(corners[0].argmax()))
            drawn.append(corners[0].max() - 1)
        assert sorted(drawn) == [0, 1, 2, 3, 4]
    assert turns == {0, 1, 2, 3}


def test_a_turn_is_numpys(classes):
    """And what random numbers a task takes, in which order, is settled: results depend on it."""
    for index in range(20):
        task = draw_episode(classes, episode_rng(0, "train", 0, index), 3, 1, 2, turns=4)
        rng, expected = episode_rng(0, "train", 0, index), []
        for c in rng.choice(5, 3, replace=False):
            images = classes.of(c)[rng.choice(6, 3, replace=False)]
            expected.append(np.rot90(images, rng.integers(4), (2, 3)))
        assert np.array_equal(task.support_x, np.concatenate([images[:1] for images in expected]))
        assert np.array_equal(task.query_x, np.concatenate([images[1:] for images in expected]))


def test_together_all_classes_of_a_task_are_turned_alike_and_tasks_in_each_way(classes):
    """In all else the task is a draw of its kind: classes and images do not depend on the turn."""
    turns = set()
    for index in range(50):
        rng = episode_rng(0, "train", 0, index)
        task = draw_episode(classes, rng, 3, 1, 2, 8, together=True)
        rng = episode_rng(0, "train", 0, index)
        numbers, alike = rng.choice(5, 3, replace=False), rng.integers(8)
        assert task.classes.tolist() == [8 * c + alike for c in numbers]
        for label, c in enumerate(numbers):
            images = classes.of(c)[rng.choice(6, 3, replace=False)]
            images = np.rot90(images[..., ::-1] if alike >= 4 else images, alike % 4, (2, 3))
            assert np.array_equal(task.support_x[task.support_y == label], images[:1])
            assert np.array_equal(task.query_x[task.query_y == label], images[1:])
        turns.add(int(alike))
    assert turns == {*range(8)}


@pytest.mark.parametrize("turns", [1, 4, 8])
def test_classes_are_numbered_with_their_turns(classes, turns):
    numbers = set()
    for index in range(100):
        task = draw_episode(classes, episode_rng(0, "train", 0, index), 3, 1, 2, turns)
        for label, number in enumerate(task.classes):
            c, turn = divmod(number, turns)
            image = upright(task.support_x[label, 0], turn)
            assert image[0, 0] == 1 + c and image[1, 1] >= 100
            numbers.add(int(number))
    assert numbers == {*range(5 * turns)}


@pytest.mark.parametrize(("turns", "number"), [(1, 5), (4, 20), (8, 40)])
def test_another_number_of_training_classes_is_refused(classes, turns, number):
    check_number(classes, "here", turns, number)
    with pytest.raises(UserError, match=f"is 7, but here has 5 classes.*: set it to {number}"):
        check_number(classes, "here", turns, 7)


def test_without_rotation_images_are_as_stored(classes):
    task = draw_episode(classes, episode_rng(0, "train", 0, 0), 5, 2, 4)
    drawn = np.concatenate([task.support_x, task.query_x])
    assert drawn.dtype == np.uint8
    assert sorted(a.tobytes() for a in drawn) == sorted(a.tobytes() for a in classes.images)
    rng, again = (episode_rng(0, "train", 0, 0) for _ in range(2))
    draw_episode(classes, rng, 2, 1, 1)
    again.choice(5, 2, replace=False)
    for _ in range(2):
        again.choice(6, 2, replace=False)
    assert rng.random() == again.random()  # no random numbers for a turn that there is not


def test_each_part_of_the_key_changes_the_random_numbers():
    keys = [(0, "train", 0, 0), (1, "train", 0, 0), (0, "valid", 0, 0), (0, "test", 0, 0)]
    keys += [(0, "train", 1, 0), (0, "train", 0, 1)]
    draws = [tuple(episode_rng(*key).integers(2**32, size=2)) for key in keys]
    assert len(set(draws)) == len(keys)
    assert draws == [tuple(episode_rng(*key).integers(2**32, size=2)) for key in keys]


def test_exactly_enough_is_enough(classes):
    check_enough(classes, "here", way=5, shot=2, query=4)


def test_the_class_that_is_too_small_is_named(classes):
    short = ImageClasses(classes.names, classes.images[:29], np.array([0, 6, 12, 18, 24, 29]))
    with pytest.raises(UserError, match=r"class e in here has 5 images, fewer than .* = 2 \+ 4"):
        check_enough(short, "here", way=5, shot=2, query=4)
    with pytest.raises(UserError, match="here has 5 classes, fewer than .*n_way = 6"):
        check_enough(short, "here", way=6, shot=1, query=1)

"""The draw of classes for training, validation and test."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paddle_maml.class_split import SPLITS, check_split, draw_split, needed
from paddle_maml.errors import UserError

SHARES = [0.6, 0.2, 0.2]
names = st.lists(st.text(min_size=1), unique=True)
shares = st.tuples(st.integers(1, 20), st.integers(0, 20), st.integers(1, 20)).map(
    lambda parts: [part / sum(parts) for part in parts]
)
seeds = st.integers(0, 2**32)


@given(names, shares, seeds)
def test_every_class_is_in_exactly_one_split(names, shares, seed):
    splits = draw_split(names, shares, seed)
    assert tuple(splits) == SPLITS
    assert sorted(sum(splits.values(), [])) == sorted(names)
    assert all(splits[split] == sorted(splits[split]) for split in SPLITS)


@given(names, shares, seeds)
def test_each_split_has_its_share_of_the_classes(names, shares, seed):
    splits = draw_split(names, shares, seed)
    for split, share in zip(SPLITS, shares):
        assert abs(len(splits[split]) - share * len(names)) <= 1
        assert share or not splits[split]


@given(st.data(), names, shares, seeds)
def test_the_order_in_which_classes_are_listed_does_not_matter(data, names, shares, seed):
    shuffled = data.draw(st.permutations(names))
    assert draw_split(shuffled, shares, seed) == draw_split(names, shares, seed)


@given(names, seeds, st.text(min_size=1))
def test_another_class_moves_few_of_the_others(names, seed, other):
    """Each split gives at most one class to the one before it and one to the one after it."""
    names = [name for name in names if name != other]
    before, after = (draw_split(listed, SHARES, seed) for listed in (names, [*names, other]))
    for split in SPLITS:
        assert len({*before[split]} - {*after[split]}) <= (2 if split == "valid" else 1)


FIRST = {"train": ["b", "e", "g", "h", "i", "j"], "valid": ["a", "f"], "test": ["c", "d"]}


def test_the_draw_is_this_one_for_ever():
    letters = [chr(c) for c in range(ord("a"), ord("k"))]
    assert draw_split(letters, SHARES, seed=0) == FIRST
    assert draw_split(letters, SHARES, seed=1) != FIRST


def test_the_spelling_of_accents_by_a_file_system_does_not_matter():
    letters = [f"{letter}é" for letter in "abcdefghij"]
    apart = [unicodedata.normalize("NFD", letter) for letter in letters]
    drawn = draw_split(letters, SHARES, 0)
    for split, found in draw_split(apart, SHARES, 0).items():
        assert [unicodedata.normalize("NFC", name) for name in found] == drawn[split]


@given(shares, st.integers(2, 20))
def test_as_many_classes_as_are_needed_are_enough_and_one_less_is_not(shares, way):
    many = needed(shares, way)

    def check(count):
        splits = draw_split(map(str, range(count)), shares, 0)
        check_split(splits, "here", shares, way, "train")

    check(many)
    with pytest.raises(UserError, match=rf"has {many - 1} classes, .* {many} classes are enough"):
        check(many - 1)


def test_the_split_that_is_too_small_is_named():
    splits = draw_split("abcdefghijklmnopqrst", SHARES, 0)
    check_split(splits, "here", SHARES, 4, "test")
    with pytest.raises(
        UserError,
        match=r"here has 20 classes, of which .*split = \[0.6, 0.2, 0.2\] leaves 4 for validation, "
        r"fewer than hyper_parameters.n_way = 5: 24 classes are enough; add classes, lower n_way",
    ):
        check_split(splits, "here", SHARES, 5, "test")


def test_a_split_without_a_share_is_refused_where_it_is_asked_for():
    shares = [0.5, 0, 0.5]
    splits = draw_split("abcdefghij", shares, 0)
    check_split(splits, "here", shares, 5, "test")
    with pytest.raises(UserError, match="nothing for validation: .* leave runner.valid_data_dir"):
        check_split(splits, "here", shares, 5, "valid")

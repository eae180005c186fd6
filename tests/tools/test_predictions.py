"""Predictions as a table, a CSV file and an accuracy."""

from __future__ import annotations

import csv

import numpy as np
from utils.predictions import UNKNOWN, Predictions

ODDS = np.float32([[0.9, 0.1], [0.2, 0.8], [1 / 3, 2 / 3], [0.6, 0.4]])
NAMES = ["Greek/a/1.png", "b, c/2.png", "Greek/a/3.png", "loose, and known to nobody.png"]
PREDICTED = Predictions(NAMES, ["Greek/a", "b, c"], ODDS)


def test_a_class_is_the_likeliest_and_a_truth_the_folders_name():
    assert PREDICTED.guesses.tolist() == [0, 1, 1, 0]
    assert PREDICTED.truths.tolist() == [0, 1, 0, UNKNOWN]


def test_the_csv_has_every_number_to_the_last_bit():
    header, *rows = csv.reader(PREDICTED.csv().splitlines())
    assert header == ["file", "class", "P(Greek/a)", "P(b, c)"]
    assert [row[0] for row in rows] == NAMES
    assert [row[1] for row in rows] == ["Greek/a", "b, c", "b, c", "Greek/a"]
    np.testing.assert_array_equal(np.array([row[2:] for row in rows], np.float32), ODDS)


def test_the_accuracy_is_that_of_the_images_whose_class_is_known():
    assert PREDICTED.accuracy().startswith("accuracy 66.67 %, 95 % interval 20.77 to 93.85 %:")
    assert PREDICTED.accuracy().endswith(": 2 of 3 images")
    assert Predictions(["1.png"], ["a", "b"], ODDS[:1]).accuracy() is None


def test_the_columns_of_the_table_stand_below_each_other():
    head, *lines = PREDICTED.table().splitlines()
    assert {len(line) for line in lines} == {len(head)}
    assert lines[0].split() == ["Greek/a/1.png", "Greek/a", "0.9000"]

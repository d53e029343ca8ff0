"""Splits: decided by the recording's key alone, in the proportions that were promised."""

import json

import numpy as np
import pytest

from ml.problems.songs.columns import FEATURES
from ml.data.splits import SPLITS, Examples, read_examples, read_labels, split_of, write_examples

KEYS = [f"{number:022d}" for number in range(20_000)]


@pytest.mark.parametrize(("split", "share"), [("train", 0.70), ("val", 0.10), ("test", 0.20)])
def test_shares(split, share):
    # Three standard deviations of 20,000 draws.
    assert sum(split_of(key) == split for key in KEYS) / len(KEYS) == pytest.approx(
        share, abs=3 * (share * (1 - share) / len(KEYS)) ** 0.5
    )


def test_every_recording_is_in_one_split():
    assert {split_of(key) for key in KEYS} == set(SPLITS)


@pytest.mark.parametrize(
    ("key", "split"),
    # int(sha256(key)'s first 8 hexadecimal digits, 16) % 100 is 0, 69, 70, 79, 80 and 99, computed elsewhere.
    [
        ("song264", "train"),
        ("song14", "train"),
        ("song105", "val"),
        ("song79", "val"),
        ("song33", "test"),
        ("song42", "test"),
    ],
)
def test_the_split_of_a_recording_never_changes(key, split):
    assert split_of(key) == split


@pytest.fixture
def examples() -> Examples:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(4, len(FEATURES))).astype("float32")
    counts = np.array([[0, 1, 2], [3, 0, 0], [0, 0, 4], [1, 1, 1]], dtype="int32")
    released = np.array([2023, 0, 1999, 2024], dtype="int16")
    return Examples(["a", "b", "ç", "d"], features, counts, released)


def test_what_is_written_is_read_again(tmp_path, examples):
    write_examples(tmp_path / "train.parquet", examples)
    read = read_examples(tmp_path / "train.parquet")
    assert read.ids == examples.ids
    np.testing.assert_array_equal(read.features, examples.features)
    np.testing.assert_array_equal(read.counts, examples.counts)
    np.testing.assert_array_equal(read.released, examples.released)
    assert (read.features.dtype, read.counts.dtype, read.released.dtype) == (np.float32, np.int32, np.int16)
    assert [path.name for path in tmp_path.iterdir()] == ["train.parquet"]


def test_some_examples_are_taken_with_all_that_belongs_to_them(examples):
    some = examples.take(np.array([3, 1]))
    assert (some.ids, some.released.tolist()) == (["d", "b"], [2024, 0])
    np.testing.assert_array_equal(some.features, examples.features[[3, 1]])
    np.testing.assert_array_equal(some.counts, examples.counts[[3, 1]])


def test_the_weight_of_a_song_is_its_chart_rows(examples):
    assert examples.weights.tolist() == [3.0, 3.0, 4.0, 3.0]
    assert examples.weights.dtype == np.float64


def test_labels_keep_their_order(tmp_path):
    path = tmp_path / "labels.json"
    path.write_text(json.dumps({"schema": "jukebox.labels/v1", "countries": ["SE", "DE"], "features": []}))
    assert read_labels(path) == ["SE", "DE"]

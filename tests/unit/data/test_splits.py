"""Splits: decided by the recording's key alone, in the promised proportions, and read as written."""

import numpy as np
import pytest

from ml.core.files import write_json
from ml.data.splits import SPLITS, Labels, read_examples, read_labels, split_of, write_examples
from ml.gate.nouns import PLAIN
from ml.problem import Examples


def test_shares():
    found = [split_of(f"{number:022d}") for number in range(20_000)]
    assert set(found) == set(SPLITS)
    for split, share in (("train", 0.70), ("val", 0.10), ("test", 0.20)):
        # Three standard deviations of 20,000 draws.
        bound = 3 * (share * (1 - share) / len(found)) ** 0.5
        assert found.count(split) / len(found) == pytest.approx(share, abs=bound)


def test_the_split_of_a_recording_never_changes():
    # int(sha256(key)'s first 8 hexadecimal digits, 16) % 100 is 0, 69, 70, 79, 80 and 99, computed elsewhere.
    keys = ("key114", "key276", "key2", "key110", "key302", "key126")
    assert [split_of(key) for key in keys] == ["train", "train", "val", "val", "test", "test"]


@pytest.fixture
def examples() -> Examples:
    features = np.random.default_rng(1).normal(size=(4, 5)).astype("float32")
    counts = np.array([[0, 1, 2], [3, 0, 0], [0, 0, 4], [1, 1, 1]], dtype="int32")
    slices = {"size": np.array(["big", "", "small", "ö"], dtype=object)}
    return Examples(["a", "b", "ç", "d"], features, counts, ("not x", "ü", "z"), slices)


def same(one: Examples, other: Examples) -> None:
    assert (one.ids, one.classes, one.slices.keys()) == (other.ids, other.classes, other.slices.keys())
    for name in ("features", "counts"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), strict=True)
    for family in one.slices:
        assert one.slices[family].tolist() == other.slices[family].tolist()


def test_what_is_written_is_read_again(tmp_path, examples):
    write_examples(tmp_path / "train.parquet", examples)
    same(read_examples(tmp_path / "train.parquet"), examples)
    assert [path.name for path in tmp_path.iterdir()] == ["train.parquet"]


def test_examples_are_taken_with_all_that_belongs_to_them_and_weigh_their_rows(examples):
    rows = np.array([3, 1])
    some = {"size": np.array(["ö", ""], dtype=object)}
    expected = Examples(["d", "b"], examples.features[rows], examples.counts[rows], examples.classes, some)
    same(examples.take(rows), expected)
    assert examples.weights.tolist() == [3.0, 3.0, 4.0, 3.0]
    assert examples.weights.dtype == np.float64


def test_labels_keep_their_order(tmp_path):
    labels = Labels(definition="x/v1", nouns=PLAIN, features=("f",), classes=("späm", "not spam"))
    write_json(tmp_path / "labels.json", labels)
    assert read_labels(tmp_path / "labels.json") == labels

"""Tables in, splits out: by recording, or by share where the tables are a snapshot's; read as written."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from spam import definition
from spam.tables import Tables, random_entries, sample, votes, write

from ml.core.errors import DataError
from ml.data.preprocess import make_splits
from ml.data.recordings import recordings_of
from ml.data.splits import SPLITS, read_examples, read_labels, split_of, write_examples
from ml.problem import Examples


def test_the_split_of_a_recording_never_changes_and_the_shares_are_those_promised():
    # int(sha256(key)'s first 8 hexadecimal digits, 16) % 100 is 0, 69, 70, 79, 80 and 99, computed elsewhere.
    keys = ("key114", "key276", "key2", "key110", "key302", "key126")
    assert [split_of(key) for key in keys] == ["train", "train", "val", "val", "test", "test"]
    shares = Counter(split_of(f"{number:022d}") for number in range(20_000))
    assert shares == pytest.approx({"train": 14_000, "val": 2000, "test": 4000}, abs=200)


def test_examples_are_read_as_written_and_taken_with_all_that_belongs_to_them(tmp_path):
    features = np.random.default_rng(1).normal(size=(4, 5)).astype("float32")
    counts = np.array([[0, 1, 2], [3, 0, 0], [0, 0, 4], [1, 1, 1]], dtype="int32")
    sizes = np.array(["big", "", "small", "ö"], dtype=object)
    examples = Examples(["a", "b", "ç", "d"], features, counts, ("not x", "ü", "z"), {"size": sizes})
    assert (examples.weights.tolist(), examples.weights.dtype) == ([3.0, 3.0, 4.0, 3.0], np.float64)
    write_examples(tmp_path / "train.parquet", examples)
    for rows, same in (
        (range(4), read_examples(tmp_path / "train.parquet")),
        ([3, 1], examples.take([3, 1])),
    ):
        assert (same.ids, same.classes) == ([examples.ids[row] for row in rows], examples.classes)
        for found, whole in ((same.features, features), (same.counts, counts), (same.slices["size"], sizes)):
            np.testing.assert_array_equal(found, whole[list(rows)], strict=True)


def made(folder: Path, tables: Tables) -> tuple[dict[str, list[str]], str]:
    """Make splits, and return the ids of each, and what was said."""
    targets = {name: folder / f"{name}.split" for name in SPLITS}
    said = make_splits(definition, write(folder, tables), targets, folder / "labels.json")
    return {name: read_examples(path).ids for name, path in targets.items()}, said


def test_the_split_is_that_of_the_recording_and_the_labels_say_what_is_what(tmp_path):
    tables = sample()
    splits, said = made(tmp_path, tables)
    assert said == "398 messages in 2 verdicts: 281 train, 38 val, 79 test"
    split = {one: name for name, ids in splits.items() for one in ids}
    entries = definition.read_entries(write(tmp_path, tables))
    keys = dict(zip(entries["id"], recordings_of(entries, definition.FEATURES), strict=True))
    assert {one: split_of(keys[one]) for one in split} == split
    assert set(split) == set(tables["votes"].dropna(subset=["verdict"])["message"])
    labels = read_labels(tmp_path / "labels.json")
    assert (labels.definition, labels.nouns) == (definition.VERSION, definition.NOUNS)
    assert (labels.features, labels.classes) == (definition.FEATURES, definition.CLASSES)
    files = [(tmp_path / f"{name}.split").read_bytes() for name in SPLITS]
    made(tmp_path, {name: table.sample(frac=1, random_state=1) for name, table in tables.items()})
    assert [(tmp_path / f"{name}.split").read_bytes() for name in SPLITS] == files


def snapshot(*shares: str, recordings: str = "abcd") -> Tables:
    """Messages with a vote for either verdict each, and the marks of a snapshot."""
    entries = random_entries(len(shares)).assign(share=shares, recording=list(recordings[: len(shares)]))
    rows = [(one, verdict, 1) for one in entries["id"] for verdict in definition.CLASSES]
    return {"votes": votes(rows), "messages": entries.rename(columns={"id": "message", "title": "subject"})}


def test_a_snapshot_is_split_by_its_shares(tmp_path):
    splits, _ = made(tmp_path, snapshot("self-test", "train", "validation", "train"))
    assert splits == {"train": ["m1", "m3"], "val": ["m2"], "test": ["m0"]}


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (snapshot("train", "validation", "sealed"), r"column share: 'sealed' \(id m2\) is none of"),
        (
            snapshot("train", "self-test", "validation", recordings="aba"),
            r"\(id m0\) is not that of all of its",
        ),
        (snapshot("train", "validation"), "only 2 messages, so the test split is empty; give more of them"),
        ({**sample(9), "votes": votes([])}, "votes: the table is empty"),
    ],
)
def test_tables_that_make_no_splits_are_refused(tmp_path, tables, message):
    with pytest.raises(DataError, match=message):
        made(tmp_path, tables)
    assert not (tmp_path / "labels.json").exists()

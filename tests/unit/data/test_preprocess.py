"""Tables in, splits out: by recording, or by share where the tables are a snapshot's."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from spam import definition
from spam.tables import Tables, random_entries, sample, votes, write

from ml.core.errors import DataError
from ml.data.preprocess import make_splits
from ml.data.recordings import recordings_of
from ml.data.splits import SPLITS, read_examples, read_labels, split_of


def made(folder: Path, tables: Tables) -> dict[str, list[str]]:
    """Make splits, and return the ids of each."""
    targets = {name: folder / f"{name}.split" for name in SPLITS}
    make_splits(definition, write(folder, tables), targets, folder / "labels.json")
    return {name: read_examples(path).ids for name, path in targets.items()}


def by_id(split: dict[str, list[str]]) -> dict[str, str]:
    return {one: name for name, ids in split.items() for one in ids}


def small(messages: pd.DataFrame) -> Tables:
    """Tables of entries, each with a vote for either verdict."""
    rows = [(one, verdict, 1) for one in messages["id"] for verdict in definition.CLASSES]
    table = messages.rename(columns={"id": "message", "title": "subject"})
    return {"votes": votes(rows), "messages": table}


def test_the_split_is_that_of_the_recording_and_the_labels_say_what_is_what(tmp_path):
    tables = sample()
    found = by_id(made(tmp_path, tables))
    entries = definition.read_entries(write(tmp_path, tables))
    keys = dict(zip(entries["id"], recordings_of(entries, definition.FEATURES), strict=True))
    assert {one: split_of(keys[one]) for one in found} == found
    voted = tables["votes"].dropna(subset=["verdict"])["message"].unique()
    assert set(found) == set(voted)
    labels = read_labels(tmp_path / "labels.json")
    assert (labels.definition, labels.nouns) == (definition.VERSION, definition.NOUNS)
    assert (labels.features, labels.classes) == (definition.FEATURES, definition.CLASSES)
    test = read_examples(tmp_path / "test.split")
    assert set(test.slices["language"]) == {"", "de", "sv"}
    assert test.counts.sum() == tables["votes"].dropna()["message"].isin(test.ids).sum()


def test_what_was_made_is_said(tmp_path):
    targets = {name: tmp_path / name for name in SPLITS}
    said = make_splits(definition, write(tmp_path, sample()), targets, tmp_path / "labels.json")
    assert said == "398 messages in 2 verdicts: 281 train, 38 val, 79 test"


def test_neither_the_order_of_the_rows_nor_other_examples_matter(tmp_path):
    tables = sample()
    before = made(tmp_path, tables)
    files = [(tmp_path / f"{name}.split").read_bytes() for name in SPLITS]
    shuffled = {name: table.sample(frac=1, random_state=1) for name, table in tables.items()}
    assert made(tmp_path, shuffled) == before
    assert [(tmp_path / f"{name}.split").read_bytes() for name in SPLITS] == files
    half = {**tables, "messages": tables["messages"][::2]}
    assert by_id(made(tmp_path, half)).items() <= by_id(before).items()


@pytest.mark.parametrize("shared", ["features", "title"])
def test_a_recording_is_in_one_split_under_all_its_ids(tmp_path, shared):
    """Each message has a copy, which shares its features or its title."""
    entries = random_entries(120)
    copies = entries.assign(id="copy of " + entries["id"])
    if shared == "features":
        copies["title"] = "again: " + copies["title"]
    else:
        copies["urgency"] = copies["urgency"] / 2
    found = by_id(made(tmp_path, small(pd.concat([entries, copies]))))
    assert [found[f"copy of {one}"] for one in entries["id"]] == [found[one] for one in entries["id"]]
    assert len(found) == 240


@pytest.mark.slow
def test_no_test_example_was_ever_trained_on_over_ten_versions_of_the_data(tmp_path):
    """What makes the comparison with a champion fair, whichever of these versions the champion is from."""
    rng = np.random.default_rng(3)
    pool = random_entries(1500)
    trained: set[str] = set()
    tested: set[str] = set()
    again = 0
    for version in range(10):
        # Each version has its own choice of the messages, and features that were measured anew.
        some = pool[rng.random(len(pool)) < 0.3 + 0.06 * version].copy()
        some["urgency"] = rng.permutation(some["urgency"])
        split = made(tmp_path / str(version), small(some.sample(frac=1, random_state=version)))
        assert not set(split["test"]) & trained
        trained |= {*split["train"], *split["val"]}
        again += len(tested & set(split["test"]))
        tested |= set(split["test"])
    # The versions are about the same messages, so that another split of each would have mixed them.
    assert again > 200
    assert len(trained) > 500


def snapshot(shares: list[str], recordings: str = "abcd") -> Tables:
    entries = random_entries(len(shares)).assign(share=shares, recording=list(recordings[: len(shares)]))
    return small(entries)


def test_a_snapshot_is_split_by_its_shares(tmp_path):
    found = made(tmp_path, snapshot(["self-test", "train", "validation", "train"]))
    assert found == {"train": ["m1", "m3"], "val": ["m2"], "test": ["m0"]}


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (snapshot(["train", "validation", "sealed"]),
         r"messages: column share: 'sealed' \(id m2\) is none of"),
        (snapshot(["train", "validation", "self-test"], "aba"),
         r"\(id m0\) is not that of all of its recording"),
        (snapshot(["train", "validation"]), "only 2 messages, so the test split is empty; give more of them"),
        ({**sample(9), "votes": votes([])}, "votes: the table is empty"),
        ({**sample(9), "votes": votes([("elsewhere", "späm", 1)])}, "votes: column verdict: no message has"),
        ({**sample(9), "messages": sample(9)["messages"].drop(columns="links")},
         "messages: column links is missing"),
        ({**sample(9), "votes": sample(9)["votes"].assign(message=1)},
         "votes: column message is not text, e.g. 1"),
    ],
)  # fmt: skip
def test_tables_that_make_no_splits_are_refused(tmp_path, tables, message):
    with pytest.raises(DataError, match=message):
        made(tmp_path, tables)
    assert not (tmp_path / "labels.json").exists()

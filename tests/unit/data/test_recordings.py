"""Recordings: ids that share all features, or a title, or are joined by a chain of such ids."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spam.definition import FEATURES
from spam.tables import random_entries

from ml.data.recordings import feature_digests, joined, recordings_of
from ml.data.splits import split_of

COLUMNS = list(FEATURES)


@pytest.fixture
def entries() -> pd.DataFrame:
    """Four entries, of which the third has the first one's features."""
    made = random_entries(4).assign(id=list("abcd"))
    made.loc[2, COLUMNS] = made.loc[0, COLUMNS]
    return made


def keys_of(entries: pd.DataFrame) -> dict[str, str]:
    return dict(zip(entries["id"], recordings_of(entries, FEATURES), strict=True))


def groups_of(entries: pd.DataFrame) -> list[str]:
    return sorted("".join(ids) for _, ids in entries["id"].groupby(recordings_of(entries, FEATURES)))


def test_ids_that_share_all_features_or_a_title_or_a_chain_are_one_recording(entries):
    assert groups_of(entries) == groups_of(entries.assign(title="")) == ["ac", "b", "d"]
    assert groups_of(entries.iloc[::-1].reset_index(drop=True)) == ["b", "ca", "d"]
    entries.loc[3, "title"] = entries.loc[2, "title"]
    assert groups_of(entries) == ["acd", "b"]
    entries.loc[2, COLUMNS] = entries.loc[1, COLUMNS]
    assert groups_of(entries) == ["a", "bcd"]


@pytest.mark.parametrize("name", FEATURES)
def test_ids_that_differ_in_one_feature_are_two(entries, name):
    entries.loc[2, name] += 1e-3 * (1 + entries.loc[2, name])
    assert groups_of(entries) == ["a", "b", "c", "d"]


def test_the_key_stays_when_copies_come_and_when_features_are_measured_anew(entries):
    keys = keys_of(entries)
    anew = entries.assign(id=list("efgh"), capitals=entries["capitals"] / 3)
    after = keys_of(pd.concat([entries, anew, entries.head(1).assign(id="i")], ignore_index=True))
    assert [after[one] for one in "abcdefghi"] == [keys[one] for one in "abcdabcda"]


def test_without_titles_the_key_is_that_of_the_features(entries):
    untitled = entries.assign(title="")
    keys = recordings_of(untitled, FEATURES).tolist()
    assert keys == feature_digests(entries[COLUMNS].to_numpy("float32"))
    both = pd.concat([untitled, untitled.assign(id=list("efgh"))], ignore_index=True)
    assert recordings_of(both, FEATURES).tolist() == [*keys, *keys]


def test_the_two_zeros_are_one_number():
    assert len(set(feature_digests(np.array([[0.0, 1.0], [-0.0, 1.0]], dtype="float32")))) == 1


LINKS = st.lists(
    st.tuples(st.sampled_from(["", *"abcdef"]), st.sampled_from(["", *"abcdef"])), min_size=1, max_size=12
)


@given(LINKS)
def test_joined_is_what_joining_again_and_again_gives(rows):
    groups = list(range(len(rows)))
    for _ in rows:
        for one, left in enumerate(rows):
            for other, right in enumerate(rows):
                if any(a and a == b for a, b in zip(left, right, strict=True)):
                    groups[one] = groups[other] = min(groups[one], groups[other])
    found = joined(*([row[column] for row in rows] for column in range(2)))
    assert len(set(found)) == len(set(groups)) == len(set(zip(found, groups, strict=True)))


@given(LINKS)
def test_a_recording_is_never_in_two_splits(rows):
    """Whoever shares features or title, by chance, shares the split."""
    entries = random_entries(len(rows)).assign(title=[title for _, title in rows])
    for row, (features, _) in enumerate(rows):
        if features:
            entries.loc[row, COLUMNS] = float(ord(features))
    split = [split_of(key) for key in recordings_of(entries, FEATURES)]
    for one, left in enumerate(rows):
        for other, right in enumerate(rows):
            if any(a and a == b for a, b in zip(left, right, strict=True)):
                assert split[one] == split[other]

"""Recordings: ids that share all features, or a title, or are joined by a chain of such ids."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spam.definition import FEATURES
from spam.tables import random_entries

from ml.data.recordings import feature_digests, joined, recordings_of

COLUMNS = list(FEATURES)


@pytest.fixture
def entries() -> pd.DataFrame:
    """Four entries, of which the third has the first one's features."""
    made = random_entries(4).assign(id=list("abcd"))
    made.loc[2, COLUMNS] = made.loc[0, COLUMNS]
    return made


def groups_of(entries: pd.DataFrame) -> list[str]:
    return sorted("".join(ids) for _, ids in entries["id"].groupby(recordings_of(entries, FEATURES)))


def test_ids_that_share_all_features_or_a_title_or_a_chain_are_one_recording(entries):
    assert groups_of(entries) == groups_of(entries.assign(title="")) == ["ac", "b", "d"]
    entries.loc[3, "title"] = entries.loc[2, "title"]
    assert groups_of(entries) == ["acd", "b"]
    entries.loc[2, COLUMNS] = entries.loc[1, COLUMNS]
    assert groups_of(entries) == ["a", "bcd"]
    for name in FEATURES:
        near = entries.assign(title="", **{name: entries[name] + [0, 0, 0.001, 0]})
        assert groups_of(near) == ["a", "b", "c", "d"]


def test_the_key_stays_when_copies_come_and_when_features_are_measured_anew(entries):
    keys = recordings_of(entries, FEATURES).tolist()
    anew = entries.assign(capitals=entries["capitals"] / 3)
    after = recordings_of(pd.concat([entries, anew, entries.head(1)], ignore_index=True), FEATURES)
    assert after.tolist() == [*keys, *keys, keys[0]]


def test_without_titles_the_key_is_that_of_the_features_and_the_two_zeros_are_one_number(entries):
    untitled = entries.assign(title="", urgency=0.0)
    digests = feature_digests(untitled[COLUMNS].to_numpy("float32"))
    negative = untitled.assign(urgency=-0.0)
    assert recordings_of(pd.concat([untitled, negative]), FEATURES).tolist() == [*digests, *digests]


LINK = st.sampled_from(["", *"abcdef"])


@given(st.lists(st.tuples(LINK, LINK), min_size=1, max_size=12))
def test_joined_is_what_joining_again_and_again_gives(rows):
    groups = list(range(len(rows)))
    for _ in rows:
        for one, left in enumerate(rows):
            for other, right in enumerate(rows):
                if any(a and a == b for a, b in zip(left, right, strict=True)):
                    groups[one] = groups[other] = min(groups[one], groups[other])
    found = joined(*([row[column] for row in rows] for column in range(2)))
    assert len(set(found)) == len(set(groups)) == len(set(zip(found, groups, strict=True)))

"""Sealed or open: the ledger decides for what it knows, else the key; copies stay with their original."""

import numpy as np
import pandas as pd
import pytest
from holdouts import KEY, OTHER_KEY, VERSION, ledger_of, recorded
from hypothesis import given
from hypothesis import strategies as st
from spam import definition
from spam.tables import random_entries

from examples.digits import definition as digits
from ml.judge import splitter
from ml.judge.splitter import near_copies, share_of, split

COLUMNS = list(definition.FEATURES)
NUMBERS = [index for index, name in enumerate(COLUMNS) if name != "is_reply"]
ENTRIES = random_entries(300)
GONE = pytest.mark.parametrize("gone", [False, True], ids=["beside", "after"])


@pytest.fixture
def ledger(tmp_path):
    """A ledger that knows the entries."""
    return recorded(tmp_path, ENTRIES)


@pytest.fixture
def sides(ledger):
    """A sealed entry and an open one, by their rows."""
    place = decided(ENTRIES, ledger).place
    return int(np.flatnonzero(place == "sealed")[0]), int(np.flatnonzero(place == "open")[0])


def decided(entries, ledger, key=KEY):
    return split(definition, entries, ledger, key, VERSION)


def places_of(entries, ledger, key=KEY) -> dict[str, str]:
    return dict(zip(entries["id"], decided(entries, ledger, key).place, strict=True))


def copy_of(row: int, **changes) -> pd.DataFrame:
    """An entry under another id and, unless told otherwise, another title."""
    return ENTRIES.iloc[[row]].assign(**{"id": "copy", "title": "another title", **changes})


def test_a_fifth_is_sealed_and_the_rest_has_its_shares(tmp_path):
    found = decided(random_entries(6000), ledger_of(tmp_path))
    share = pd.Series(found.share[found.place == "open"]).value_counts(normalize=True)
    # Three standard deviations.
    assert (found.place == "sealed").mean() == pytest.approx(0.2, abs=0.016)
    assert share["train"] == pytest.approx(0.75, abs=0.02)
    assert share[["validation", "self-test"]].to_list() == pytest.approx([0.125, 0.125], abs=0.015)


def test_what_is_new_is_told_once_whatever_the_order(ledger, tmp_path):
    empty = ledger_of(tmp_path / "empty")
    news = decided(ENTRIES, empty).news
    assert sorted(news["id"]) == sorted(ENTRIES["id"])
    assert (set(news["first_version"]), set(news["key_id"])) == ({VERSION}, {KEY.id})
    assert decided(ENTRIES, ledger).news.empty
    shuffled = ENTRIES.sample(frac=1, random_state=3)
    assert places_of(shuffled, empty) == places_of(ENTRIES, empty) == places_of(ENTRIES, ledger)


def test_the_ledger_decides_whatever_the_key_and_a_new_key_only_about_what_is_new(ledger, tmp_path):
    before = places_of(ENTRIES, ledger)
    more = pd.concat([ENTRIES.sample(frac=0.7, random_state=1), random_entries(300, 2, "new")])
    after = places_of(more, ledger, OTHER_KEY)
    assert {one: place for one, place in after.items() if one in before}.items() <= before.items()
    rows = recorded(tmp_path, more, OTHER_KEY).rows.set_index("id")
    new = rows.index.str.startswith("new")
    assert set(rows["key_id"][new]) == {OTHER_KEY.id}
    expected = [OTHER_KEY.seals(recording) for recording in rows["recording"][new]]
    assert (rows["side"][new] == "sealed").to_list() == expected
    pd.testing.assert_frame_equal(rows[~new], ledger.rows.set_index("id"))


@GONE
@pytest.mark.parametrize("by", ["features", "title"])
def test_a_copy_goes_where_its_original_went_whatever_the_key(ledger, sides, gone, by):
    for row in sides:
        changes = {"title": ENTRIES["title"][row], "urgency": 0.5} if by == "title" else {}
        rest = ENTRIES.drop(index=row) if gone else ENTRIES
        found = decided(pd.concat([rest, copy_of(row, **changes)]), ledger, OTHER_KEY)
        known = ledger.rows.set_index("id").loc[ENTRIES["id"][row]]
        (news,) = found.news.to_dict("records")
        expected = ("copy", known["side"], known["recording"], KEY.id)
        assert tuple(news[name] for name in ("id", "side", "recording", "key_id")) == expected
        assert found.place[-1] == known["side"]


def test_a_group_that_spans_both_sides_is_in_neither_part_and_leaves_the_ledger_alone(
    ledger, sides, tmp_path
):
    """A new id has the features of a sealed entry and the title of an open one."""
    before = places_of(ENTRIES, ledger)
    joined = pd.concat([ENTRIES, copy_of(sides[0], title=ENTRIES["title"][sides[1]])])
    spanning = {"copy", *ENTRIES["id"].iloc[list(sides)]}
    assert places_of(joined, ledger) == before | dict.fromkeys(spanning, "both_sides")
    assert decided(joined, ledger).count("both_sides") == 3
    after = recorded(tmp_path, joined)
    assert after.digests == ledger.digests
    assert places_of(ENTRIES, after) == before


def test_the_share_of_a_recording_is_the_same_for_ever():
    shares = ["train"] * 3 + ["self-test", "validation", "train", "validation", "train"]
    assert [share_of(recording) for recording in "abcdefgh"] == shares


def test_two_open_recordings_that_a_new_id_joins_are_trained_on_if_one_was(ledger, tmp_path):
    rows = ledger.rows.set_index("id").loc[ENTRIES["id"]]
    share = rows["recording"].map(share_of).where(rows["side"] == "open").to_numpy()
    trained, tested = (int(np.flatnonzero(share == name)[0]) for name in ("train", "self-test"))
    joined = pd.concat([ENTRIES, copy_of(tested, title=ENTRIES["title"][trained])])
    group = [trained, tested, len(ENTRIES)]
    for known in (ledger, recorded(tmp_path, joined)):
        found = decided(joined, known)
        assert found.share[group].tolist() == ["train"] * 3
        assert len(set(found.recording[group])) == 1
    # For ever: also when the id that joined them has left.
    assert decided(ENTRIES, recorded(tmp_path, ENTRIES)).share[tested] == "train"


@given(rows=st.lists(st.tuples(*(st.integers(0, most) for most in (5, 5, 2))), min_size=1, max_size=15))
def test_a_recording_is_never_in_two_places(tmp_path_factory, rows):
    """Entries that come in three versions of the data, and whose features and titles coincide at random."""
    folder = tmp_path_factory.mktemp("ledger")
    entries = ENTRIES.iloc[[features for features, _, _ in rows]].reset_index(drop=True)
    titles = [f"title {title}" for _, title, _ in rows]
    entries = entries.assign(id=[f"id{row}" for row in range(len(rows))], title=titles)
    for version in range(min(first for *_, first in rows), 3):
        here = entries[[first <= version for *_, first in rows]]
        found = decided(here, recorded(folder, here, (KEY, OTHER_KEY)[version % 2]))
        for by in (COLUMNS, ["title"]):
            for same in here.reset_index(drop=True).groupby(by).indices.values():
                (place,) = set(found.place[same])
                assert place != "open" or len(set(found.share[same])) == 1


def jittered(entries: pd.DataFrame, width: float) -> pd.DataFrame:
    """The entries under new ids and titles, with each number moved by up to a share of itself."""
    rng = np.random.default_rng(5)
    copies = entries.assign(id="copy of " + entries["id"], title=[f"Copy {row}" for row in entries.index])
    values = copies[COLUMNS].to_numpy("float64").copy()
    values[:, NUMBERS] *= 1 + width * rng.choice([-1, -0.5, 0, 0.5, 1], size=(len(entries), len(NUMBERS)))
    copies[COLUMNS] = values.astype("float32")
    return copies


@GONE
@pytest.mark.parametrize("width", [0.0, 0.01, 0.05])
def test_no_copy_of_a_sealed_entry_is_open_under_a_new_id(ledger, width, gone):
    sealed = decided(ENTRIES, ledger).place == "sealed"
    copies = jittered(ENTRIES[sealed], width)
    found = places_of(pd.concat([ENTRIES[~sealed] if gone else ENTRIES, copies]), ledger, OTHER_KEY)
    where = {found[one] for one in copies["id"]}
    assert where == {0.0: {"sealed"}, 0.01: {"sealed", "near_copies"}, 0.05: {"sealed", "open"}}[width]
    # Nobody else is left out.
    assert {one for one, place in found.items() if place == "near_copies"} <= set(copies["id"])


def test_all_of_a_recording_is_left_out_with_its_near_copy_and_the_ledger_calls_it_open(
    ledger, sides, tmp_path
):
    near = jittered(ENTRIES.iloc[[sides[0]]], 0.01).assign(id="near", title="same title")
    both = pd.concat([ENTRIES, near, random_entries(1, 9, "other").assign(title="same title")])
    assert not OTHER_KEY.seals(decided(both, ledger, OTHER_KEY).recording[-1])
    found = places_of(both, ledger, OTHER_KEY)
    assert found["other0"] == found["near"] == "near_copies"
    after = recorded(tmp_path, both, OTHER_KEY).rows.set_index("id")
    assert after["side"][["other0", "near"]].tolist() == ["open", "open"]


def test_nothing_and_next_to_nothing_are_near_and_without_a_rule_or_originals_nothing_is():
    one = ENTRIES[COLUMNS].to_numpy("float32")[:1]
    nothing, next_to_it = one.copy(), one.copy()
    nothing[0, 2], next_to_it[0, 2] = 0, 1e-5
    assert near_copies(definition, next_to_it, nothing).tolist() == [True]
    assert near_copies(definition, one, one[:0]).tolist() == [False]
    assert near_copies(definition, one[:0], one).tolist() == []
    rows = np.ones((2, len(digits.FEATURES)), "float32")
    assert near_copies(digits, rows, rows).tolist() == [False, False]


@given(seed=st.integers(0, 1000))
def test_near_is_what_comparing_each_with_each_gives(seed):
    """Compared in parts of a few pairs, so that entries stand on both sides of a seam."""
    rng = np.random.default_rng(seed)
    base = random_entries(12, seed)[COLUMNS].to_numpy("float64")
    close = base[rng.integers(0, 12, 30)] * (1 + rng.uniform(-0.011, 0.011, (30, len(COLUMNS))))
    one, other = close.astype("float32"), base.astype("float32")
    a, b = one[:, None, NUMBERS].astype("float64"), other[None, :, NUMBERS].astype("float64")
    within = np.abs(a - b) <= 0.01 * 1.001 * np.maximum(np.maximum(np.abs(a), np.abs(b)), 0.01)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splitter, "PAIRS", 7)
        found = near_copies(definition, one, other)
    assert found.tolist() == within.all(axis=2).any(axis=1).tolist()

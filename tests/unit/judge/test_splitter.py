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

FEATURES = definition.FEATURES
COLUMNS = list(FEATURES)
NUMBERS = [index for index, name in enumerate(FEATURES) if name != "is_reply"]


@pytest.fixture(scope="module")
def entries():
    return random_entries(300)


@pytest.fixture
def ledger(tmp_path, entries):
    """A ledger that knows the entries."""
    return recorded(tmp_path, entries)


@pytest.fixture
def sides(entries, ledger):
    """A sealed entry and an open one, by their rows."""
    place = decided(entries, ledger).place
    return int(np.flatnonzero(place == "sealed")[0]), int(np.flatnonzero(place == "open")[0])


def decided(entries, ledger, key=KEY):
    return split(definition, entries, ledger, key, VERSION)


def places_of(entries, ledger, key=KEY) -> dict[str, str]:
    return dict(zip(entries["id"], decided(entries, ledger, key).place, strict=True))


def copy_of(entries: pd.DataFrame, row: int, **changes) -> pd.DataFrame:
    """An entry under another id and, unless told otherwise, another title."""
    return entries.iloc[[row]].assign(**{"id": "copy", "title": "another title", **changes})


def with_copy(entries: pd.DataFrame, row: int, **changes) -> pd.DataFrame:
    return pd.concat([entries, copy_of(entries, row, **changes)], ignore_index=True)


def test_a_fifth_is_sealed_and_the_rest_has_its_shares(tmp_path):
    found = decided(random_entries(6000), ledger_of(tmp_path))
    assert found.count("both_sides") == 0
    share = pd.Series(found.share[found.place == "open"]).value_counts(normalize=True)
    # Three standard deviations.
    assert (found.place == "sealed").mean() == pytest.approx(0.2, abs=0.016)
    assert share["train"] == pytest.approx(0.75, abs=0.02)
    assert share["validation"] == pytest.approx(0.125, abs=0.015)
    assert share["self-test"] == pytest.approx(0.125, abs=0.015)


def test_what_is_new_is_told_once_whatever_the_order(entries, ledger, tmp_path):
    empty = ledger_of(tmp_path / "empty")
    first = decided(entries, empty)
    assert sorted(first.news["id"]) == sorted(entries["id"])
    assert (set(first.news["first_version"]), set(first.news["key_id"])) == ({VERSION}, {KEY.id})
    assert decided(entries, ledger).news.empty
    shuffled = entries.sample(frac=1, random_state=3)
    assert places_of(shuffled, empty) == places_of(entries, empty) == places_of(entries, ledger)


def test_the_ledger_decides_whatever_the_key_and_a_new_key_only_about_what_is_new(entries, ledger, tmp_path):
    before = places_of(entries, ledger)
    more = pd.concat([entries.sample(frac=0.7, random_state=1), random_entries(300, 2, "new")])
    after = places_of(more, ledger, OTHER_KEY)
    kept = set(before) & set(after)
    assert len(kept) == 210
    assert {one: after[one] for one in kept} == {one: before[one] for one in kept}
    rows = recorded(tmp_path, more, OTHER_KEY).rows.set_index("id")
    new = rows.index.str.startswith("new")
    assert set(rows["key_id"][new]) == {OTHER_KEY.id}
    assert (rows["side"][new] == "sealed").to_list() == [
        OTHER_KEY.seals(key) for key in rows["recording"][new]
    ]
    pd.testing.assert_frame_equal(rows[~new], ledger.rows.set_index("id"))


@pytest.mark.parametrize("gone", [False, True], ids=["beside", "after"])
@pytest.mark.parametrize("by", ["features", "title"])
@pytest.mark.parametrize("key", [KEY, OTHER_KEY], ids=["same-key", "new-key"])
def test_a_copy_goes_where_its_original_went(entries, ledger, sides, gone, by, key):
    for row in sides:
        changes = {"title": entries["title"][row], "urgency": 0.5} if by == "title" else {}
        rest = entries.drop(index=row) if gone else entries
        found = decided(pd.concat([rest, copy_of(entries, row, **changes)]), ledger, key)
        known = ledger.rows.set_index("id").loc[entries["id"][row]]
        (news,) = found.news.to_dict("records")
        expected = ("copy", known["side"], known["recording"], KEY.id)
        assert tuple(news[name] for name in ("id", "side", "recording", "key_id")) == expected
        assert found.place[-1] == known["side"]


def test_a_group_that_spans_both_sides_is_in_neither_part_and_leaves_the_ledger_alone(
    entries, ledger, sides, tmp_path
):
    """A new id has the features of a sealed entry and the title of an open one."""
    before = places_of(entries, ledger)
    joined = with_copy(entries, sides[0], title=entries["title"][sides[1]])
    place = places_of(joined, ledger)
    spanning = {"copy", *entries["id"].iloc[list(sides)]}
    assert {one for one, where in place.items() if where == "both_sides"} == spanning
    assert decided(joined, ledger).count("both_sides") == 3
    assert {one: where for one, where in place.items() if one not in spanning} == {
        one: where for one, where in before.items() if one not in spanning
    }
    after = recorded(tmp_path, joined)
    assert after.digests == ledger.digests
    assert places_of(entries, after) == before


def test_two_open_recordings_that_a_new_id_joins_are_trained_on_if_one_was(entries, ledger, tmp_path):
    rows = ledger.rows.set_index("id").loc[entries["id"]]
    share = rows["recording"].map(share_of).where(rows["side"] == "open").to_numpy()
    trained, tested = (int(np.flatnonzero(share == name)[0]) for name in ("train", "self-test"))
    joined = with_copy(entries, tested, title=entries["title"][trained])
    group = [trained, tested, len(entries)]
    for known in (ledger, recorded(tmp_path, joined)):
        found = decided(joined, known)
        assert found.share[group].tolist() == ["train"] * 3
        assert len(set(found.recording[group])) == 1
    # For ever: also when the id that joined them has left.
    assert decided(entries, recorded(tmp_path, entries)).share[tested] == "train"


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 2)), min_size=1, max_size=15
    ),
)
def test_a_recording_is_never_in_two_places(tmp_path_factory, rows):
    """Entries that come in three versions of the data, and whose features and titles coincide at random."""
    folder = tmp_path_factory.mktemp("ledger")
    entries = random_entries(6).iloc[[features for features, _, _ in rows]].reset_index(drop=True)
    entries["id"] = [f"id{row}" for row in range(len(rows))]
    entries["title"] = [f"title {title}" for _, title, _ in rows]
    for version in range(3):
        here = entries[[first <= version for _, _, first in rows]]
        if here.empty:
            continue
        found = decided(here, recorded(folder, here, (KEY, OTHER_KEY)[version % 2]))
        values = here[COLUMNS].to_numpy()
        alike = [(values == row).all(axis=1) for row in values]
        for same in (*alike, *((here["title"] == title).to_numpy() for title in here["title"])):
            places = set(zip(found.place[same], found.share[same], strict=True))
            assert len({place for place, _ in places}) == 1
            if {place for place, _ in places} == {"open"}:
                assert len(places) == 1


def jittered(entries: pd.DataFrame, width: float, seed: int = 5) -> pd.DataFrame:
    """The entries under new ids and titles, with each number moved by up to a share of itself."""
    rng = np.random.default_rng(seed)
    copies = entries.assign(id="copy of " + entries["id"], title=[f"Copy {row}" for row in entries.index])
    values = copies[COLUMNS].to_numpy("float64").copy()
    values[:, NUMBERS] *= 1 + width * rng.choice([-1, -0.5, 0, 0.5, 1], size=(len(entries), len(NUMBERS)))
    copies[COLUMNS] = values.astype("float32")
    return copies


@pytest.mark.parametrize("gone", [False, True], ids=["beside", "after"])
@pytest.mark.parametrize("width", [0.0, 0.001, 0.01, 0.05])
def test_no_copy_of_a_sealed_entry_is_open_under_a_new_id(entries, ledger, width, gone):
    sealed = decided(entries, ledger).place == "sealed"
    copies = jittered(entries[sealed], width)
    found = places_of(pd.concat([entries[~sealed] if gone else entries, copies]), ledger, OTHER_KEY)
    where = {found[one] for one in copies["id"]}
    expected = {0.0: {"sealed"}, 0.05: {"sealed", "open"}}
    assert where == expected.get(width, {"sealed", "near_copies"})
    # Nobody else is left out.
    assert {one for one, place in found.items() if place == "near_copies"} <= set(copies["id"])


def test_all_of_a_recording_is_left_out_with_its_near_copy_and_the_ledger_calls_it_open(
    entries, ledger, sides, tmp_path
):
    near = jittered(entries.iloc[[sides[0]]], 0.01).assign(title="same title")
    both = pd.concat([entries, near, random_entries(1, 9, "other").assign(title="same title")])
    assert not OTHER_KEY.seals(decided(both, ledger, OTHER_KEY).recording[-1])
    found = places_of(both, ledger, OTHER_KEY)
    assert found["other0"] == found[near["id"].iloc[0]] == "near_copies"
    after = recorded(tmp_path, both, OTHER_KEY).rows.set_index("id")
    assert after["side"][["other0", near["id"].iloc[0]]].tolist() == ["open", "open"]
    assert len(after) == 302


ONE = random_entries(1)[COLUMNS].to_numpy("float32")


def near(one, other) -> list[bool]:
    return near_copies(definition, one, other).tolist()


@pytest.mark.parametrize("index", NUMBERS)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_hundredth_is_near_and_more_is_not_and_what_is_ignored_plays_no_part(index, sign):
    for width, expected in ((0.0099, True), (0.0105, False)):
        other = ONE.copy()
        other[0, index] *= 1 + sign * width
        other[0, FEATURES.index("is_reply")] += 1
        assert near(other, ONE) == near(ONE, other) == [expected]


def test_nothing_and_next_to_nothing_are_near_and_without_either_side_nothing_is():
    one, other = ONE.copy(), ONE.copy()
    one[0, 2], other[0, 2] = 0, 1e-5
    assert near(other, one) == [True]
    assert (near(one, one[:0]), near(one[:0], one)) == ([False], [])


def test_a_problem_without_near_copies_has_none():
    rows = np.ones((2, len(digits.FEATURES)), "float32")
    assert near_copies(digits, rows, rows).tolist() == [False, False]


@given(seed=st.integers(0, 1000))
def test_near_is_what_comparing_each_with_each_gives(seed, seams):
    rng = np.random.default_rng(seed)
    base = random_entries(12, seed)[COLUMNS].to_numpy("float64")
    close = base[rng.integers(0, 12, 30)] * (1 + rng.uniform(-0.011, 0.011, (30, len(FEATURES))))
    one, other = close.astype("float32"), base.astype("float32")
    a, b = one[:, None, NUMBERS].astype("float64"), other[None, :, NUMBERS].astype("float64")
    within = np.abs(a - b) <= 0.01 * 1.001 * np.maximum(np.maximum(np.abs(a), np.abs(b)), 0.01)
    assert near(one, other) == within.all(axis=2).any(axis=1).tolist()


@pytest.fixture(scope="module")
def seams():
    """Compare in parts of a few pairs, so that entries stand on both sides of a seam."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splitter, "PAIRS", 7)
        yield

"""Sealed or open: the ledger decides for what it knows, else the key; copies stay with their original."""

import numpy as np
import pandas as pd
import pytest
from holdouts import KEY, OTHER_KEY, VERSION, places_of, random_songs, recorded
from hypothesis import given
from hypothesis import strategies as st

from ml.problems.songs.columns import FEATURES
from ml.judge.ledger import read_ledger
from ml.judge.splitter import IGNORED, near_copies, share_of, split

COLUMNS = list(FEATURES)
NUMBERS = [index for index, name in enumerate(FEATURES) if name not in IGNORED]


@pytest.fixture(scope="module")
def songs():
    return random_songs(300)


@pytest.fixture
def ledger(tmp_path, songs):
    """A ledger that knows the songs."""
    return recorded(tmp_path, songs)


@pytest.fixture
def sides(songs, ledger):
    """A sealed song and an open one, by their rows."""
    place = split(songs, ledger, KEY, VERSION).place
    return int(np.flatnonzero(place == "sealed")[0]), int(np.flatnonzero(place == "open")[0])


def _copy(songs: pd.DataFrame, row: int, **changes) -> pd.DataFrame:
    """A song under another id and, unless told otherwise, another title."""
    return songs.iloc[[row]].assign(**{"spotify_id": "copy", "name": "another title", **changes})


def _place(songs, ledger, key=KEY) -> dict[str, str]:
    return places_of(songs, split(songs, ledger, key, VERSION))


def test_a_fifth_is_sealed_and_the_rest_has_its_shares(tmp_path):
    many = random_songs(6000)
    found = split(many, read_ledger(str(tmp_path)), KEY, VERSION)
    assert found.count("both_sides") == 0
    share = pd.Series(found.share[found.place == "open"]).value_counts(normalize=True)
    # Three standard deviations.
    assert (found.place == "sealed").mean() == pytest.approx(0.2, abs=0.016)
    assert share["train"] == pytest.approx(0.75, abs=0.02)
    assert share["validation"] == pytest.approx(0.125, abs=0.015)
    assert share["self-test"] == pytest.approx(0.125, abs=0.015)


def test_what_is_new_is_told_once(songs, ledger, tmp_path):
    first = split(songs, read_ledger(str(tmp_path / "empty")), KEY, VERSION)
    assert sorted(first.news["id"]) == sorted(songs["spotify_id"])
    assert set(first.news["first_version"]) == {VERSION}
    assert set(first.news["key_id"]) == {KEY.id}
    assert split(songs, ledger, KEY, VERSION).news.empty


def test_the_ledger_decides_whatever_the_key_and_with_other_songs_around(songs, ledger):
    before = _place(songs, ledger)
    more = pd.concat([songs.sample(frac=0.7, random_state=1), random_songs(300, 2, "new")])
    after = _place(more, ledger, OTHER_KEY)
    kept = set(before) & set(after)
    assert len(kept) == 210
    assert {song: after[song] for song in kept} == {song: before[song] for song in kept}


def test_a_new_key_seals_only_recordings_first_seen_after_it(songs, ledger, tmp_path):
    more = pd.concat([songs, random_songs(300, 2, "new")])
    after = recorded(tmp_path, more, OTHER_KEY)
    rows = after.rows.set_index("id")
    new = rows.index.str.startswith("new")
    assert set(rows["key_id"][new]) == {OTHER_KEY.id}
    assert set(rows["key_id"][~new]) == {KEY.id}
    assert (rows["side"][new] == "sealed").to_list() == [
        OTHER_KEY.seals(key) for key in rows["recording"][new]
    ]
    pd.testing.assert_frame_equal(rows[~new], ledger.rows.set_index("id"))


@pytest.mark.parametrize("gone", [False, True], ids=["beside", "after"])
@pytest.mark.parametrize("by", ["features", "title"])
@pytest.mark.parametrize("key", [KEY, OTHER_KEY], ids=["same-key", "new-key"])
def test_a_copy_goes_where_its_original_went(songs, ledger, sides, gone, by, key):
    for row in sides:
        changes = {"name": songs["name"][row], "energy": 0.5} if by == "title" else {}
        rest = songs.drop(index=row) if gone else songs
        found = split(pd.concat([rest, _copy(songs, row, **changes)]), ledger, key, VERSION)
        known = ledger.rows.set_index("id").loc[songs["spotify_id"][row]]
        (news,) = found.news.to_dict("records")
        assert (news["id"], news["side"], news["recording"], news["key_id"]) == (
            "copy",
            known["side"],
            known["recording"],
            KEY.id,
        )
        assert found.place[-1] == known["side"]


def _spanning(songs, sides) -> pd.DataFrame:
    """A new id with the features of a sealed song and the title of an open one."""
    sealed, opened = sides
    return _copy(songs, sealed, name=songs["name"][opened])


def test_a_group_that_spans_both_sides_is_in_neither_part(songs, ledger, sides):
    found = split(pd.concat([songs, _spanning(songs, sides)]), ledger, KEY, VERSION)
    place = places_of(pd.concat([songs, _spanning(songs, sides)]), found)
    spanning = {"copy", *songs["spotify_id"].iloc[list(sides)]}
    assert {song for song, where in place.items() if where == "both_sides"} == spanning
    assert found.count("both_sides") == 3
    before = _place(songs, ledger)
    assert {song: place[song] for song in before if song not in spanning} == {
        song: where for song, where in before.items() if song not in spanning
    }


def test_what_the_ledger_said_of_old_ids_stays_when_a_new_one_joins_both_sides(
    songs, ledger, sides, tmp_path
):
    before = _place(songs, ledger)
    after = recorded(tmp_path, pd.concat([songs, _spanning(songs, sides)]))
    assert after.digests == ledger.digests
    assert _place(songs, after) == before


def test_two_open_recordings_that_a_new_id_joins_are_trained_on_if_one_was(songs, ledger, tmp_path):
    rows = ledger.rows.set_index("id").loc[songs["spotify_id"]]
    share = rows["recording"].map(share_of).where(rows["side"] == "open").to_numpy()
    trained, tested = (int(np.flatnonzero(share == name)[0]) for name in ("train", "self-test"))
    joined = pd.concat([songs, _copy(songs, tested, name=songs["name"][trained])], ignore_index=True)
    group = [trained, tested, len(songs)]
    for known in (ledger, recorded(tmp_path, joined)):
        found = split(joined, known, KEY, VERSION)
        assert found.share[group].tolist() == ["train"] * 3
        assert len(set(found.recording[group])) == 1
    # For ever: also when the id that joined them has left.
    assert split(songs, recorded(tmp_path, songs), KEY, VERSION).share[tested] == "train"


def test_the_order_of_the_songs_does_not_matter(songs, tmp_path):
    empty = read_ledger(str(tmp_path))
    assert _place(songs.sample(frac=1, random_state=3), empty) == _place(songs, empty)


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 2)), min_size=1, max_size=15
    ),
)
def test_a_recording_is_never_in_two_places(tmp_path_factory, rows):
    """Songs that come in three versions of the data, and whose features and titles coincide at random."""
    folder = tmp_path_factory.mktemp("ledger")
    pool = random_songs(6)
    songs = pool.iloc[[features for features, _, _ in rows]].reset_index(drop=True)
    songs["spotify_id"] = [f"id{row}" for row in range(len(rows))]
    songs["name"] = [f"title {title}" for _, title, _ in rows]
    for version in range(3):
        here = songs[[first <= version for _, _, first in rows]]
        if here.empty:
            continue
        ledger = recorded(folder, here, (KEY, OTHER_KEY)[version % 2])
        found = split(here, ledger, KEY, VERSION)
        values = here[COLUMNS].to_numpy()
        alike = [(values == row).all(axis=1) for row in values]
        for same in (*alike, *((here["name"] == name).to_numpy() for name in here["name"])):
            places = set(zip(found.place[same], found.share[same], strict=True))
            assert len({place for place, _ in places}) == 1
            if {place for place, _ in places} == {"open"}:
                assert len(places) == 1


def _jittered(songs: pd.DataFrame, width: float, seed: int = 5) -> pd.DataFrame:
    """The songs under new ids and titles, with each number moved by up to a share of itself."""
    rng = np.random.default_rng(seed)
    copies = songs.assign(
        spotify_id=[f"copy of {song}" for song in songs["spotify_id"]],
        name=[f"Copy {row}" for row in songs.index],
    )
    values = copies[COLUMNS].to_numpy("float64")
    values[:, NUMBERS] *= 1 + width * rng.choice([-1, -0.5, 0, 0.5, 1], size=(len(songs), len(NUMBERS)))
    copies[COLUMNS] = values.astype("float32")
    return copies


@pytest.mark.parametrize("gone", [False, True], ids=["beside", "after"])
@pytest.mark.parametrize("width", [0.0, 0.001, 0.01])
def test_no_copy_of_a_sealed_song_is_open_under_a_new_id(songs, ledger, width, gone):
    sealed = split(songs, ledger, KEY, VERSION).place == "sealed"
    copies = _jittered(songs[sealed], width)
    beside = songs[~sealed] if gone else songs
    found = _place(pd.concat([beside, copies]), ledger, OTHER_KEY)
    where = {found[song] for song in copies["spotify_id"]}
    assert where == ({"sealed"} if width == 0 else {"sealed", "near_copies"})
    # Nobody else is left out.
    assert {song for song, place in found.items() if place == "near_copies"} <= set(copies["spotify_id"])


def test_what_is_further_away_is_another_song(songs, ledger):
    sealed = split(songs, ledger, KEY, VERSION).place == "sealed"
    assert (
        split(pd.concat([songs, _jittered(songs[sealed], 0.05)]), ledger, KEY, VERSION).count("near_copies")
        == 0
    )


def test_all_of_a_recording_is_left_out_with_its_near_copy(songs, ledger, sides):
    near = _jittered(songs.iloc[[sides[0]]], 0.01).assign(name="same title")
    other = random_songs(1, 9, "other").assign(name="same title")
    both = pd.concat([songs, near, other])
    assert not OTHER_KEY.seals(split(both, ledger, OTHER_KEY, VERSION).recording[-1])
    found = _place(both, ledger, OTHER_KEY)
    assert found["other0"] == found[near["spotify_id"].iloc[0]] == "near_copies"


def test_a_near_copy_is_known_to_the_ledger_as_open(songs, ledger, sides, tmp_path):
    near = pd.concat([songs, _jittered(songs.iloc[[sides[0]]], 0.01).assign(name="same title")])
    after = recorded(tmp_path, near, OTHER_KEY).rows.set_index("id")
    assert after["side"].iloc[-1] in ("open", "sealed")
    assert len(after) == 301


@pytest.mark.parametrize("name", IGNORED)
def test_a_copy_in_which_a_truth_value_or_the_key_is_another_is_still_one(name):
    song = random_songs(1)[COLUMNS].to_numpy("float32")
    other = song.copy()
    other[0, FEATURES.index(name)] += 1
    assert near_copies(other, song).tolist() == [True]


@pytest.mark.parametrize("index", NUMBERS)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_hundredth_is_near_and_more_is_not(index, sign):
    song = random_songs(1)[COLUMNS].to_numpy("float32")
    for width, near in ((0.0099, True), (0.0105, False)):
        other = song.copy()
        other[0, index] *= 1 + sign * width
        assert near_copies(other, song).tolist() == near_copies(song, other).tolist() == [near]


def test_nothing_and_next_to_nothing_are_near():
    song = random_songs(1)[COLUMNS].to_numpy("float32")
    song[0, FEATURES.index("instrumentalness")] = 0
    other = song.copy()
    other[0, FEATURES.index("instrumentalness")] = 1e-5
    assert near_copies(other, song).tolist() == [True]


def test_without_songs_or_originals_nothing_is_near():
    song = random_songs(1)[COLUMNS].to_numpy("float32")
    assert near_copies(song, song[:0]).tolist() == [False]
    assert near_copies(song[:0], song).tolist() == []


@given(seed=st.integers(0, 1000))
def test_near_is_what_comparing_each_with_each_gives(seed, monkeypatch_module):
    rng = np.random.default_rng(seed)
    base = random_songs(12, seed)[COLUMNS].to_numpy("float64")
    close = base[rng.integers(0, 12, 30)] * (1 + rng.uniform(-0.011, 0.011, (30, len(FEATURES))))
    for name in IGNORED:
        close[:, FEATURES.index(name)] = rng.integers(0, 2, 30)
        base[:, FEATURES.index(name)] = rng.integers(0, 2, 12)
    one, other = close.astype("float32"), base.astype("float32")
    a, b = one[:, None, :].astype("float64"), other[None, :, :].astype("float64")
    within = np.abs(a - b) <= 0.01 * 1.001 * np.maximum(np.maximum(np.abs(a), np.abs(b)), 0.01)
    within[:, :, [FEATURES.index(name) for name in IGNORED]] = True
    assert near_copies(one, other).tolist() == within.all(axis=2).any(axis=1).tolist()


@pytest.fixture(scope="module")
def monkeypatch_module():
    """Compare in parts of a few pairs, so that songs stand on both sides of a seam."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ml.judge.splitter.PAIRS", 7)
        yield

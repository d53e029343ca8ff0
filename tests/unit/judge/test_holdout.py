"""A data version: snapshot and holdout, disjoint, the same bytes every time, whoever is killed or late."""

import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from holdouts import (
    KEY,
    OTHER_KEY,
    SMALL,
    contents,
    places,
    seal,
    sealed_ids,
    small_tables,
    snapshot_songs,
    table_of,
)
from servers import s3_server
from tables import Files, real_tables, sample_tables, write_tables
from tiers import sampled

from ml.core.canonical import digest, parse
from ml.core.errors import DataError, EvidenceError, UsageError
from ml.problems.songs.columns import FEATURES
from ml.data.examples import make_examples
from ml.data.manifests import HOLDOUT_FILES, SNAPSHOT_FILES, Holdout, Snapshot
from ml.data.snapshots import fetch_snapshot
from ml.data.splits import read_examples, read_labels
from ml.gate.subjects.data import DataReport
from ml.judge import holdout as holdouts
from ml.judge import ledger as ledgers
from ml.judge.holdout import Places, seal_holdout
from ml.judge.ledger import read_ledger
from ml.judge.parts import same_answers
from ml.measure.evaluation import country_prior, logistic
from ml.storage.objects import create_object

COLUMNS = list(FEATURES)


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> Files:
    return small_tables(tmp_path_factory.mktemp("tables"))


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """The folder with the holdout of the tables; tests must not write into it."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def sealed(home, tables):
    return seal(home, tables)


@pytest.fixture
def quick(monkeypatch, home, sealed):
    """Take the slow parts of a version from the one that is there, to write it again and again."""
    made = {}

    def remembered(tables, songs, decided, version):
        if version not in made:
            made[version] = real(tables, songs, decided, version)
        return made[version]

    real = holdouts.make_parts
    monkeypatch.setattr(holdouts, "make_parts", remembered)


def _fetched(sealed, folder: Path) -> dict[str, Path]:
    """What a run on the snapshot makes of it: the splits and the labels."""
    folder.mkdir(exist_ok=True)
    files = [folder / name for name in ("rankings.parquet", "songs.parquet", "source.json")]
    fetch_snapshot(sealed.snapshot_uri, sealed.snapshot.version, *files)
    made = {name: folder / f"{name}.parquet" for name in ("train", "val", "test")}
    make_examples(*files[:2], made, folder / "labels.json")
    return {**made, "labels": folder / "labels.json", "source": files[2]}


def _sealed_file(home: Path, sealed, name: str) -> bytes:
    return (home / "holdout" / sealed.snapshot.version / name).read_bytes()


def test_the_sealed_recordings_are_disjoint_from_the_snapshot(home, sealed, tables):
    ids, songs = sealed_ids(home), snapshot_songs(sealed)
    source = pd.read_parquet(tables.songs).set_index("spotify_id")
    rows = read_ledger(str(home / "holdout")).rows.set_index("id")
    assert len(ids) > 50
    assert not ids & set(songs["spotify_id"])
    assert not set(rows["recording"][list(ids)]) & set(rows["recording"][songs["spotify_id"]])
    for columns in (COLUMNS, ["name", "artists"]):
        shared = songs[columns].merge(source.loc[list(ids), columns], on=columns)
        assert shared.empty
    ranked = pd.read_parquet(Path(sealed.snapshot_uri) / "rankings.parquet")
    assert set(ranked["spotify_id"].astype(str)) <= set(songs["spotify_id"])
    examples = table_of(_sealed_file(home, sealed, "examples.parquet"))
    assert set(examples["spotify_id"]) <= ids


def test_the_snapshot_has_all_the_rest_and_no_broken_song(home, sealed, tables):
    rankings, songs = (pd.read_parquet(path) for path in tables)
    usable = songs[(songs["duration_ms"] != 0) & (songs["tempo"] != 0)]
    kept = usable[~usable["spotify_id"].isin(sealed_ids(home))].reset_index(drop=True)
    found = snapshot_songs(sealed)
    pd.testing.assert_frame_equal(found.drop(columns=["recording", "share"]), kept)
    rows = rankings[rankings["spotify_id"].isin(kept["spotify_id"])].reset_index(drop=True)
    ranked = pd.read_parquet(Path(sealed.snapshot_uri) / "rankings.parquet")
    pd.testing.assert_frame_equal(ranked, rows, check_dtype=False, check_categorical=False)
    assert ranked["country"].isna().any()


def test_a_run_on_the_snapshot_has_the_shares_labels_and_counts_of_the_manifest(home, sealed, tmp_path):
    made = _fetched(sealed, tmp_path)
    songs = snapshot_songs(sealed).set_index("spotify_id")
    for split, share in (("train", "train"), ("val", "validation"), ("test", "self-test")):
        examples = read_examples(made[split])
        assert set(songs["share"][examples.ids]) == {share}
        amount = sealed.snapshot.shares[share]
        assert (amount.songs, amount.rows) == (len(examples.ids), examples.counts.sum())
    assert read_labels(made["labels"]) == list(sealed.snapshot.countries)
    assert made["labels"].read_bytes() == _sealed_file(home, sealed, "labels.json")
    source = json.loads(made["source"].read_bytes())
    assert (source["data_version"], source["synthetic"]) == (sealed.snapshot.version, False)
    assert source["snapshot"] == sealed.snapshot_uri
    assert source["tables"]["songs"]["rows"] == len(songs)


def test_the_sealed_examples_are_counted_as_a_runs_are(home, sealed, tables):
    examples = table_of(_sealed_file(home, sealed, "examples.parquet")).set_index("spotify_id")
    rankings = pd.read_parquet(tables.rankings)
    rows = rankings[rankings["spotify_id"].isin(sealed_ids(home)) & rankings["country"].notna()]
    expected = pd.crosstab(rows["spotify_id"].astype(str), rows["country"].astype(str))
    expected = expected.reindex(columns=list(sealed.snapshot.countries), fill_value=0)
    assert examples.index.tolist() == expected.index.tolist()
    np.testing.assert_array_equal(np.stack(examples["counts"]), expected.to_numpy())
    source = pd.read_parquet(tables.songs).set_index("spotify_id").loc[examples.index, COLUMNS]
    np.testing.assert_array_equal(examples[COLUMNS].to_numpy("float32"), source.to_numpy("float32"))
    assert (sealed.holdout.sealed.songs, sealed.holdout.sealed.rows) == (len(examples), len(rows))


def test_the_baselines_are_those_of_a_run_on_the_snapshot(home, sealed, tmp_path):
    training = read_examples(_fetched(sealed, tmp_path)["train"])
    examples = table_of(_sealed_file(home, sealed, "examples.parquet"))
    answers = table_of(_sealed_file(home, sealed, "baselines.parquet"))
    prior = country_prior(training)
    np.testing.assert_array_equal(np.stack(answers["prior"]), np.tile(prior, (len(examples), 1)))
    expected = logistic(training, examples[COLUMNS].to_numpy("float32"), prior)
    np.testing.assert_allclose(np.stack(answers["logistic"]), expected, atol=1e-9)
    assert np.stack(answers["logistic"]).dtype == np.float64


def test_the_manifests_say_what_is_there(home, sealed, tables):
    version = sealed.snapshot.version
    snapshot, holdout = home / "snapshots" / version, home / "holdout" / version
    assert Snapshot.load(parse((snapshot / "snapshot.json").read_bytes())) == sealed.snapshot
    assert Holdout.load(parse((holdout / "holdout.json").read_bytes())) == sealed.holdout
    for folder, files, names in (
        (snapshot, sealed.snapshot.files, SNAPSHOT_FILES),
        (holdout, sealed.holdout.files, HOLDOUT_FILES),
    ):
        assert set(files) == set(names)
        for name, entry in files.items():
            data = (folder / name).read_bytes()
            assert (entry.digest, entry.size) == (digest(data), len(data))
    assert sealed.holdout.snapshot_digest == digest((snapshot / "snapshot.json").read_bytes())
    ledger = read_ledger(str(home / "holdout"))
    assert (sealed.holdout.ledger, sealed.holdout.ledger_digest) == (ledger.number, ledger.digest)
    assert (sealed.holdout.key_id, sealed.new) == (KEY.id, True)
    report = DataReport.load(parse((holdout / "data_report.json").read_bytes()))
    assert (report.data_version, report.songs_rows) == (version, SMALL.songs)
    assert parse((holdout / "profile.json").read_bytes())["data_version"] == version


def test_nothing_of_the_key_is_written(home, sealed):
    for data in contents(home).values():
        assert KEY.secret not in data
        assert KEY.secret.hex().encode() not in data


def test_the_same_tables_find_what_is_there_and_read_no_table(home, sealed, tables, monkeypatch):
    before = contents(home)
    monkeypatch.setattr(holdouts, "fetch", lambda *_: pytest.fail("the tables were read"))
    for key in (KEY, OTHER_KEY):
        again = seal(home, tables, key)
        assert (again.new, again.snapshot, again.holdout) == (False, sealed.snapshot, sealed.holdout)
    assert contents(home) == before


@pytest.mark.slow
def test_two_places_get_the_same_bytes(home, sealed, tables, tmp_path):
    seal(tmp_path, tables)
    assert contents(tmp_path) == contents(home)


@pytest.mark.slow
def test_other_tables_are_another_version_and_old_songs_stay_where_they_are(sealed, home, tmp_path, tables):
    first = seal(tmp_path, tables)
    before = sealed_ids(tmp_path), snapshot_songs(first).set_index("spotify_id")
    rankings, songs = sample_tables(SMALL)
    new = songs.tail(40).assign(
        spotify_id=[f"new{row}" for row in range(40)], name=[f"New {row}" for row in range(40)]
    )
    new["energy"] = np.linspace(0.1, 0.9, 40)
    (tmp_path / "more").mkdir()
    more = write_tables(tmp_path / "more", rankings, pd.concat([songs, new]))
    second = seal(tmp_path, more, OTHER_KEY)
    assert second.snapshot.version != first.snapshot.version
    assert (second.holdout.ledger, second.holdout.key_id) == (2, OTHER_KEY.id)
    after = snapshot_songs(second).set_index("spotify_id")
    assert before[0] <= sealed_ids(tmp_path)
    assert not before[0] & set(after.index)
    both = before[1].index.intersection(after.index)
    assert len(both) > 300
    pd.testing.assert_frame_equal(after.loc[both], before[1].loc[both])
    # The old tables again: nothing new for the ledger, and a version at its new position.
    assert seal(tmp_path, tables).holdout.ledger == 2
    assert read_ledger(str(tmp_path / "holdout")).number == 2


@pytest.mark.parametrize("jitter", sampled([0.0, 0.01], [0.01]))
def test_copies_of_sealed_songs_under_new_ids_never_reach_the_snapshot(
    tmp_path, tables, sealed, home, jitter
):
    """Somebody adds every sealed song under a new id and title, with its chart rows."""
    seal(tmp_path, tables)
    rankings, songs = sample_tables(SMALL)
    victims = songs[songs["spotify_id"].isin(sealed_ids(tmp_path))]
    ids = {song: f"copy of {song}" for song in victims["spotify_id"]}
    copies = victims.assign(
        spotify_id=victims["spotify_id"].map(ids), name=[f"Copy {row}" for row in victims.index]
    )
    rng = np.random.default_rng(2)
    for name in set(COLUMNS) - {"is_explicit", "key", "mode"}:
        moved = copies[name] * (1 + jitter * rng.uniform(-1, 1, len(copies)))
        copies[name] = moved.clip(upper=1.0) if name not in ("duration_ms", "loudness", "tempo") else moved
    rows = rankings[rankings["spotify_id"].isin(victims["spotify_id"])]
    rows = rows.assign(spotify_id=rows["spotify_id"].map(ids))
    (tmp_path / "copied").mkdir()
    copied = write_tables(tmp_path / "copied", pd.concat([rankings, rows]), pd.concat([songs, copies]))
    second = seal(tmp_path, copied)
    assert not set(copies["spotify_id"]) & set(snapshot_songs(second)["spotify_id"])
    left = second.snapshot.left_out
    assert left.both_sides == 0
    if jitter:
        assert left.near_copies > len(copies) * 0.7
        report = DataReport.load(parse(_sealed_file(tmp_path, second, "data_report.json")))
        assert report.near_copies == second.holdout.left_out.near_copies == left.near_copies
        source = json.loads(_fetched(second, tmp_path / "run")["source"].read_bytes())
        assert source["left_out"] == {"both_sides": 0, "near_copies": left.near_copies}
    else:
        assert left.near_copies == 0


def test_a_broken_contract_decides_and_writes_nothing(tmp_path):
    rankings, songs = sample_tables(SMALL)
    songs.loc[3, "energy"] = 7.0
    with pytest.raises(
        DataError, match=r"the data contract is broken: songs.features_in_range: column energy"
    ):
        seal(tmp_path, write_tables(tmp_path, rankings, songs))
    assert not contents(tmp_path / "holdout")
    assert not (tmp_path / "snapshots").exists()


def test_the_songs_of_a_snapshot_are_no_source(tmp_path, sealed):
    tables = [f"{sealed.snapshot_uri}/{name}.parquet" for name in ("rankings", "songs")]
    with pytest.raises(UsageError, match="has a column recording or share, as the songs of a snapshot have"):
        seal_holdout(*tables, places(tmp_path), KEY)


def test_the_sample_is_sealed_as_synthetic(tmp_path, home, sealed):
    found = seal_holdout(SMALL.uri, SMALL.uri, places(tmp_path), KEY)
    assert found.snapshot.synthetic
    assert found.holdout.synthetic


@pytest.mark.parametrize("change", sampled(["deleted", "replaced"], ["deleted"]))
def test_the_newest_entry_is_held_against_the_newest_holdout(tmp_path, tables, sealed, home, change):
    seal(tmp_path, tables)
    entry = tmp_path / "holdout" / "ledger" / "00000001.parquet"
    entry.unlink()
    if change == "replaced":
        other = tmp_path / "other"
        seal_holdout(*map(str, tables), Places(str(other / "holdout"), str(other / "snapshots")), OTHER_KEY)
        entry.write_bytes((other / "holdout" / "ledger" / "00000001.parquet").read_bytes())
    before = contents(tmp_path)
    with pytest.raises(
        EvidenceError, match=r"entry 1 of the ledger is missing or was changed: .*; restore the"
    ):
        seal(tmp_path, tables)
    assert contents(tmp_path) == before


def _tampered(home: Path, sealed, target: Path) -> Path:
    """A copy of the snapshot that a test may change."""
    for name, data in contents(Path(sealed.snapshot_uri)).items():
        target.mkdir(exist_ok=True)
        (target / name).write_bytes(data)
    return target


def _fetch(uri: Path, version: str, folder: Path) -> str:
    return fetch_snapshot(
        str(uri), version, *(folder / name for name in ("r.parquet", "s.parquet", "source.json"))
    )


@pytest.mark.parametrize("name", SNAPSHOT_FILES)
@pytest.mark.parametrize("how", ["changed", "missing"])
def test_a_snapshot_that_was_tampered_with_is_refused(home, sealed, tmp_path, name, how):
    uri = _tampered(home, sealed, tmp_path / "snapshot")
    if how == "missing":
        (uri / name).unlink()
    else:
        (uri / name).write_bytes((uri / name).read_bytes() + b" ")
    with pytest.raises(EvidenceError, match=rf"{name} is missing or was changed; remove it, and let"):
        _fetch(uri, sealed.snapshot.version, tmp_path)
    assert not (tmp_path / "source.json").exists()


def test_another_snapshot_than_the_one_asked_for_is_refused(home, sealed, tmp_path):
    with pytest.raises(
        DataError, match=r"asked for data version 0000000000000000, but .* is [0-9a-f]{16}; submit"
    ):
        _fetch(Path(sealed.snapshot_uri), "0" * 16, tmp_path)


def test_a_damaged_manifest_and_a_missing_one_are_told(home, sealed, tmp_path):
    uri = _tampered(home, sealed, tmp_path / "snapshot")
    (uri / "snapshot.json").write_text("{}")
    with pytest.raises(EvidenceError, match=r"is damaged: snapshot.json: schema: missing"):
        _fetch(uri, sealed.snapshot.version, tmp_path)
    with pytest.raises(UsageError, match=r"there is no snapshot.json; `jukebox judge holdout` writes one"):
        _fetch(tmp_path / "none", sealed.snapshot.version, tmp_path)
    assert not (tmp_path / "none").exists()


def test_files_of_a_version_without_a_manifest_must_be_the_same(tmp_path, tables, quick, sealed):
    version = seal(tmp_path, tables).snapshot.version
    (tmp_path / "snapshots" / version / "snapshot.json").unlink()
    (tmp_path / "snapshots" / version / "songs.parquet").write_bytes(b"something else")
    with pytest.raises(
        EvidenceError, match=r"songs.parquet is there already, with other bytes; remove its folder"
    ):
        seal(tmp_path, tables)


def test_a_snapshot_that_does_not_belong_to_its_holdout_is_noticed(tmp_path, tables, quick, sealed):
    version = seal(tmp_path, tables).snapshot.version
    path = tmp_path / "snapshots" / version / "snapshot.json"
    path.write_bytes(path.read_bytes().replace(b'"both_sides":0', b'"both_sides":1'))
    with pytest.raises(EvidenceError, match=r"is not the one that .*holdout.json was written with; remove"):
        seal(tmp_path, tables)


def test_baselines_may_differ_by_rounding(home, sealed):
    data = _sealed_file(home, sealed, "baselines.parquet")

    def moved(by: float) -> bytes:
        table = table_of(data)
        table["logistic"] = [row + by for row in table["logistic"]]
        return _parquet(table, data)

    assert same_answers(data, moved(1e-12))
    assert not same_answers(data, moved(1e-5))
    assert not same_answers(data, b"no table")


def _parquet(table: pd.DataFrame, like: bytes) -> bytes:
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    target = io.BytesIO()
    schema = pq.read_schema(io.BytesIO(like))
    pq.write_table(pa.Table.from_pandas(table, schema, preserve_index=False), target)
    return target.getvalue()


class Killed(BaseException):
    """What a test raises in place of a kill: nothing catches it."""


WRITES = 11
"""An entry of the ledger, which is tried twice, five files and two, and the two manifests."""


STOPS = [(stop, after) for stop in range(WRITES) for after in (False, True)]


@pytest.mark.parametrize(("stop", "after"), sampled(STOPS, [(0, True), (10, False)]))
def test_a_call_that_stopped_at_any_write_is_completed_by_the_next(
    tmp_path, home, sealed, tables, quick, monkeypatch, stop, after
):
    left = [stop]

    def create(uri, data):
        if left[0] == 0 and not after:
            raise Killed
        done = create_object(uri, data)
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        return done

    with monkeypatch.context() as patch:
        for module in (ledgers, holdouts):
            patch.setattr(module, "create_object", create)
        with pytest.raises(Killed):
            seal(tmp_path, tables)
    assert left == [0]
    seal(tmp_path, tables)
    assert contents(tmp_path) == contents(home)


def test_a_version_is_so_many_writes(tmp_path, sealed, tables, quick, monkeypatch):
    written = []
    for module in (ledgers, holdouts):
        monkeypatch.setattr(
            module, "create_object", lambda *put: written.append(put[0]) or create_object(*put)
        )
    seal(tmp_path, tables)
    assert len(written) == WRITES
    assert [uri.rpartition("/")[2] for uri in written[-2:]] == ["holdout.json", "snapshot.json"]


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import obstore
put, left = obstore.put, [int(sys.argv[2])]
def killed(store, path, data, **options):
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    return put(store, path, data, **options)
obstore.put = killed
from holdouts import seal
from tables import Files
seal(Path(sys.argv[1]), Files(*map(Path, sys.argv[3:])))
"""


@pytest.mark.slow
@pytest.mark.parametrize("stop", [0, 1, 4, 8, 10])
def test_a_process_that_was_really_killed_leaves_nothing_that_is_believed(
    tmp_path, home, sealed, tables, stop
):
    script = KILLED.format(tests=str(Path(__file__).parents[2]))
    command = [sys.executable, "-c", script, str(tmp_path), str(stop), *map(str, tables)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    assert subprocess.run(command, env=environment, check=False, timeout=300).returncode == -signal.SIGKILL
    assert not (tmp_path / "snapshots" / sealed.snapshot.version / "snapshot.json").exists()
    assert read_ledger(str(tmp_path / "holdout")).number <= 1
    seal(tmp_path, tables)
    assert contents(tmp_path) == contents(home)


def test_of_two_at_once_with_different_keys_one_decides_and_both_agree(
    tmp_path, home, sealed, tables, monkeypatch
):
    barrier = threading.Barrier(2)
    real, waited = holdouts.append, threading.local()

    def together(*arguments):
        if not getattr(waited, "once", False):
            waited.once = True
            barrier.wait(60)
        return real(*arguments)

    monkeypatch.setattr(holdouts, "append", together)
    found, errors = [], []

    def work(key):
        try:
            found.append(seal(tmp_path, tables, key))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(key,)) for key in (KEY, OTHER_KEY)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    ledger = read_ledger(str(tmp_path / "holdout"))
    assert (ledger.number, ledger.rows["key_id"].nunique()) == (1, 1)
    assert found[0].holdout == found[1].holdout
    assert found[0].snapshot == found[1].snapshot
    assert found[0].holdout.key_id == ledger.key_id


@pytest.mark.slow
def test_a_bucket_gets_the_same_bytes_and_runs_read_them_there(tmp_path, home, sealed, tables, monkeypatch):
    import obstore

    from ml.storage.objects import open_folder

    with s3_server() as there:
        for name, value in there.items():
            monkeypatch.setenv(name, value)
        uri = f"s3://bucket/{uuid.uuid4().hex}"
        where = Places(f"{uri}/holdout", f"{uri}/snapshots")
        found = seal_holdout(*map(str, tables), where, KEY)
        assert (found.snapshot, found.holdout) == (sealed.snapshot, sealed.holdout)
        store = open_folder(uri)
        listed = [entry["path"] for page in obstore.list(store) for entry in page]
        assert {path: bytes(obstore.get(store, path).bytes()) for path in listed} == contents(home)
        assert not seal_holdout(*map(str, tables), where, KEY).new
        made = _fetched(found, tmp_path / "run")
        assert len(read_examples(made["test"]).ids) == found.snapshot.shares["self-test"].songs


@pytest.mark.slow
def test_the_real_charts_are_sealed(tmp_path):
    found = seal(tmp_path, real_tables())
    shares = {name: amount.songs for name, amount in found.snapshot.shares.items()}
    assert sum(shares.values()) + found.holdout.sealed.songs > 2_200
    assert found.holdout.sealed.songs == pytest.approx(0.2 * 2222, abs=60)
    assert found.snapshot.left_out.near_copies < 20
    assert len(found.snapshot.countries) == 72

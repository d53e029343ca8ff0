"""A data version: snapshot and holdout, disjoint, the same bytes every time, whoever is killed or late."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import numpy as np
import obstore
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from holdouts import (
    KEY,
    OTHER_KEY,
    contents,
    ledger_of,
    sample_folder,
    seal,
    sealed_ids,
    snapshot_table,
    table_of,
)
from servers import s3_server
from spam import definition
from spam.tables import Tables, sample, uris, write
from tiers import sampled

from ml.core.canonical import digest, parse
from ml.core.errors import DataError, EvidenceError, PlatformError, UsageError
from ml.data.manifests import HOLDOUT_FILES, Holdout, Snapshot
from ml.data.preprocess import make_splits
from ml.data.snapshots import fetch_snapshot
from ml.data.splits import read_examples, read_labels
from ml.data.uris import table_paths
from ml.gate.subjects.data import DataReport
from ml.judge import holdout as holdouts
from ml.judge import ledger as ledgers
from ml.judge.holdout import seal_holdout
from ml.judge.parts import same_answers
from ml.judge.versions import Places
from ml.measure.evaluation import class_prior, logistic
from ml.storage.objects import create_object, open_folder

COLUMNS = list(definition.FEATURES)
SOURCE = sample()
RUN = {"train": "train", "val": "validation", "test": "self-test"}


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> Path:
    return sample_folder(tmp_path_factory.mktemp("tables"))


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """The folder with the holdout of the tables; tests must not write into it."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def sealed(home, tables):
    return seal(home, tables)


@pytest.fixture
def quick(monkeypatch, sealed):
    """Make the slow parts of a version once, to write it again and again."""
    made = {}

    def remembered(problem, tables, entries, decided, version):
        if version not in made:
            made[version] = real(problem, tables, entries, decided, version)
        return made[version]

    real = holdouts.make_parts
    monkeypatch.setattr(holdouts, "make_parts", remembered)


def run_on(sealed, folder: Path) -> dict[str, Path]:
    """What a run on the snapshot makes of it: the splits, the labels, and the source."""
    folder.mkdir(exist_ok=True)
    fetch_snapshot(definition, sealed.snapshot_uri, sealed.snapshot.version, folder, folder / "source.json")
    made = {name: folder / f"{name}.split" for name in RUN}
    make_splits(definition, table_paths(definition.TABLES, folder), made, folder / "labels.json")
    return {**made, "labels": folder / "labels.json", "source": folder / "source.json"}


def sealed_file(home: Path, sealed, name: str) -> bytes:
    return (home / "holdout" / sealed.snapshot.version / name).read_bytes()


def changed(folder: Path, change) -> Path:
    """Write the tables of the sample after a change."""
    write(folder, change(sample()))
    return folder


def test_the_snapshot_has_all_but_the_sealed_recordings(home, sealed):
    ids, messages = sealed_ids(home), snapshot_table(sealed)
    source = SOURCE["messages"].set_index("message")
    rows = ledger_of(home / "holdout").rows.set_index("id")
    assert len(ids) > 50
    assert not set(rows["recording"][list(ids)]) & set(rows["recording"][messages["message"]])
    for columns in (COLUMNS, ["subject"]):
        assert messages[columns].merge(source.loc[list(ids), columns], on=columns).empty
    for name, table in SOURCE.items():
        kept = table[~table["message"].isin(ids)].reset_index(drop=True)
        found = snapshot_table(sealed, name).drop(columns=["recording", "share"], errors="ignore")
        pd.testing.assert_frame_equal(found, kept, check_dtype=False)


def test_a_run_on_the_snapshot_has_what_the_manifest_and_the_holdout_say(home, sealed, tmp_path):
    made = run_on(sealed, tmp_path)
    messages = snapshot_table(sealed).set_index("message")
    splits = {share: read_examples(made[split]) for split, share in RUN.items()}
    for share, examples in splits.items():
        assert set(messages["share"][examples.ids]) == {share}
        amount = sealed.snapshot.shares[share]
        assert (amount.examples, amount.rows) == (len(examples.ids), examples.counts.sum())
    assert read_labels(made["labels"]).classes == sealed.snapshot.classes == definition.CLASSES
    assert made["labels"].read_bytes() == sealed_file(home, sealed, "labels.json")
    source = json.loads(made["source"].read_bytes())
    assert (source["data_version"], source["synthetic"]) == (sealed.snapshot.version, False)
    assert source["left_out"] == {"both_sides": 0, "near_copies": 0}
    # The baselines are those of such a run.
    features = np.stack(table_of(sealed_file(home, sealed, "examples.parquet"))["features"])
    answers = table_of(sealed_file(home, sealed, "baselines.parquet"))
    prior = class_prior(splits["train"])
    np.testing.assert_array_equal(np.stack(answers["prior"]), np.tile(prior, (len(features), 1)))
    expected = logistic(splits["train"], features, prior)
    np.testing.assert_allclose(np.stack(answers["logistic"]), expected, atol=1e-9)
    assert np.stack(answers["logistic"]).dtype == np.float64


def test_the_sealed_examples_are_counted_as_a_runs_are(home, sealed):
    examples = table_of(sealed_file(home, sealed, "examples.parquet")).set_index("id")
    votes = SOURCE["votes"].dropna(subset=["verdict"])
    votes = votes[votes["message"].isin(sealed_ids(home))]
    expected = pd.crosstab(votes["message"], votes["verdict"])
    assert examples.index.tolist() == expected.index.tolist()
    np.testing.assert_array_equal(np.stack(examples["counts"]), expected.to_numpy())
    source = SOURCE["messages"].set_index("message").loc[examples.index]
    np.testing.assert_array_equal(np.stack(examples["features"]), source[COLUMNS].to_numpy("float32"))
    assert examples["slice:language"].tolist() == source["language"].fillna("").tolist()
    assert (sealed.holdout.sealed.examples, sealed.holdout.sealed.rows) == (len(examples), len(votes))


def test_the_manifests_say_what_is_there(home, sealed):
    version = sealed.snapshot.version
    snapshot, holdout = home / "snapshots" / version, home / "holdout" / version
    assert Snapshot.load(parse((snapshot / "snapshot.json").read_bytes())) == sealed.snapshot
    assert Holdout.load(parse((holdout / "holdout.json").read_bytes())) == sealed.holdout
    for folder, files, names in (
        (snapshot, sealed.snapshot.files, {"votes.parquet", "messages.parquet"}),
        (holdout, sealed.holdout.files, set(HOLDOUT_FILES)),
    ):
        assert set(files) == names
        for name, entry in files.items():
            data = (folder / name).read_bytes()
            assert (entry.digest, entry.size) == (digest(data), len(data))
    assert sealed.holdout.snapshot_digest == digest((snapshot / "snapshot.json").read_bytes())
    ledger = ledger_of(home / "holdout")
    assert (sealed.holdout.ledger, sealed.holdout.ledger_digest) == (ledger.number, ledger.digest)
    assert (sealed.holdout.key_id, sealed.new) == (KEY.id, True)
    assert {sealed.holdout.definition, sealed.snapshot.definition} == {"spam/v1"}
    report = DataReport.load(parse((holdout / "data_report.json").read_bytes()))
    assert (report.data_version, report.rows["messages"]) == (version, len(SOURCE["messages"]))
    assert parse((holdout / "profile.json").read_bytes())["data_version"] == version
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


def test_other_tables_are_another_version_and_what_is_old_stays_where_it_is(tmp_path, tables):
    first = seal(tmp_path, tables)
    ids, before = sealed_ids(tmp_path), snapshot_table(first).set_index("message")

    def more(old: Tables) -> Tables:
        new = old["messages"].tail(40)
        new = new.assign(message="new" + new["message"], subject="New " + new["subject"])
        new["urgency"] = np.linspace(0.1, 0.9, 40)
        return {**old, "messages": pd.concat([old["messages"], new])}

    second = seal(tmp_path, changed(tmp_path / "more", more), OTHER_KEY)
    assert second.snapshot.version != first.snapshot.version
    assert (second.holdout.ledger, second.holdout.key_id) == (2, OTHER_KEY.id)
    after = snapshot_table(second).set_index("message")
    assert ids <= sealed_ids(tmp_path)
    assert not ids & set(after.index)
    both = before.index.intersection(after.index)
    assert len(both) > 300
    pd.testing.assert_frame_equal(after.loc[both], before.loc[both])
    # The old tables again: nothing new for the ledger, and a version at its new position.
    assert seal(tmp_path, tables).holdout.ledger == 2
    assert ledger_of(tmp_path / "holdout").number == 2


@pytest.mark.parametrize("jitter", [0.0, 0.01])
def test_copies_of_sealed_examples_under_new_ids_never_reach_the_snapshot(tmp_path, tables, jitter):
    """Somebody adds every sealed message under a new id and subject, with its votes."""
    seal(tmp_path, tables)
    victims = sealed_ids(tmp_path)

    def copied(old: Tables) -> Tables:
        made = {}
        for name, table in old.items():
            copies = table[table["message"].isin(victims)].copy()
            copies["message"] = "copy of " + copies["message"]
            if name == "messages":
                copies["subject"] = "again: " + copies["subject"]
                rng = np.random.default_rng(2)
                for feature in ("length", "links", "capitals", "urgency"):
                    moved = copies[feature] * (1 + jitter * rng.uniform(-1, 0, len(copies)))
                    copies[feature] = moved.clip(lower=1) if feature == "length" else moved
            made[name] = pd.concat([table, copies])
        return made

    second = seal(tmp_path, changed(tmp_path / "copied", copied))
    assert not snapshot_table(second)["message"].str.startswith("copy").any()
    left = second.snapshot.left_out
    assert left.both_sides == 0
    assert left.near_copies > len(victims) * 0.7 if jitter else left.near_copies == 0
    report = DataReport.load(parse(sealed_file(tmp_path, second, "data_report.json")))
    assert report.near_copies == second.holdout.left_out.near_copies == left.near_copies


@pytest.mark.parametrize(
    ("column", "kind", "message"),
    [
        ("urgency", DataError, "the data contract is broken: messages.in_range: column urgency"),
        (
            "share",
            UsageError,
            "--data: the table messages at .* has a column share, as that of a snapshot has",
        ),
    ],
)
def test_tables_that_cannot_be_sealed_decide_and_write_nothing(tmp_path, column, kind, message):
    broken = changed(
        tmp_path / "broken", lambda old: {**old, "messages": old["messages"].assign(**{column: 7.0})}
    )
    with pytest.raises(kind, match=message):
        seal(tmp_path, broken)
    assert not contents(tmp_path / "holdout")
    assert not (tmp_path / "snapshots").exists()


def test_the_sample_is_sealed_as_synthetic(tmp_path):
    where = dict.fromkeys(definition.TABLES, "sample:")
    found = seal_holdout(definition, where, Places(str(tmp_path / "h"), str(tmp_path / "s")), KEY)
    assert found.snapshot.synthetic
    assert found.holdout.synthetic


@pytest.mark.parametrize("change", ["deleted", "replaced"])
def test_the_newest_entry_is_held_against_the_newest_holdout(tmp_path, tables, quick, change):
    seal(tmp_path, tables)
    entry = tmp_path / "holdout" / "ledger" / "00000001.parquet"
    entry.unlink()
    if change == "replaced":
        seal(tmp_path / "other", tables, OTHER_KEY)
        entry.write_bytes((tmp_path / "other/holdout/ledger/00000001.parquet").read_bytes())
    before = contents(tmp_path)
    with pytest.raises(
        EvidenceError, match=r"entry 1 of the ledger is missing or was changed: .*; restore the"
    ):
        seal(tmp_path, tables)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("name", "edit", "message"),
    [
        ("holdout/{}/holdout.json", None, "holdout.json is damaged: .*; remove it, and run this again"),
        ("snapshots/{}/snapshot.json", None, "snapshot.json is damaged: .*; remove it, and run this again"),
        (
            "snapshots/{}/snapshot.json",
            (b'"both_sides":0', b'"both_sides":1'),
            "is not the one that .*holdout.json was written with; remove that snapshot's folder",
        ),
        (
            "snapshots/{}/votes.parquet",
            (b"", b"x"),
            "votes.parquet is there already, with other bytes; remove its",
        ),
    ],
)
def test_what_is_there_must_be_what_was_written(tmp_path, tables, quick, name, edit, message):
    version = seal(tmp_path, tables).snapshot.version
    path = tmp_path / name.format(version)
    path.write_bytes(path.read_bytes().replace(*edit) if edit else b"{}")
    if "votes" in name:
        # Without its manifest a version is written again.
        (tmp_path / "snapshots" / version / "snapshot.json").unlink()
    with pytest.raises(EvidenceError, match=message):
        seal(tmp_path, tables)


def test_a_place_that_cannot_be_listed_is_the_platforms_fault(tmp_path, tables, monkeypatch):
    def failing(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(holdouts.obstore, "list", failing)
    with pytest.raises(PlatformError, match=r"cannot (list|read) .*holdout"):
        seal(tmp_path, tables)


def test_baselines_may_differ_by_rounding(home, sealed):
    data = sealed_file(home, sealed, "baselines.parquet")

    def moved(by: float, rows: int = -1) -> bytes:
        table = table_of(data)[:rows] if rows > 0 else table_of(data)
        table["logistic"] = [row + by for row in table["logistic"]]
        target = io.BytesIO()
        schema = pq.read_schema(io.BytesIO(data))
        pq.write_table(pa.Table.from_pandas(table, schema, preserve_index=False), target)
        return target.getvalue()

    assert same_answers(data, moved(1e-12))
    assert not same_answers(data, moved(1e-5))
    assert not same_answers(data, moved(0, 3))
    assert not same_answers(data, b"no table")


class Killed(BaseException):
    """What a test raises in place of a kill: nothing catches it."""


WRITES = 11
"""An entry of the ledger, which is tried twice, five files and two, and the two manifests."""

STOPS = [(stop, after) for stop in range(WRITES) for after in (False, True)]


@pytest.mark.parametrize(("stop", "after"), sampled(STOPS, [(0, True), (5, False), (10, False)]))
def test_a_call_that_stopped_at_any_write_is_completed_by_the_next(
    tmp_path, home, tables, quick, monkeypatch, stop, after
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


def test_a_version_is_so_many_writes_the_manifests_last(tmp_path, tables, quick, monkeypatch):
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
sys.path[:0] = [{tests!r}, {root!r}]
import obstore
put, left = obstore.put, [int(sys.argv[2])]
def killed(store, path, data, **options):
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    return put(store, path, data, **options)
obstore.put = killed
from holdouts import seal
seal(Path(sys.argv[1]), Path(sys.argv[3]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("stop", [0, 1, 4, 8, 10])
def test_a_process_that_was_really_killed_leaves_nothing_that_is_believed(
    tmp_path, home, sealed, tables, stop
):
    tests = Path(__file__).parents[2]
    script = KILLED.format(tests=str(tests), root=str(tests.parent))
    command = [sys.executable, "-c", script, str(tmp_path), str(stop), str(tables)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    assert subprocess.run(command, env=environment, check=False, timeout=300).returncode == -signal.SIGKILL
    assert not (tmp_path / "snapshots" / sealed.snapshot.version / "snapshot.json").exists()
    assert ledger_of(tmp_path / "holdout").number <= 1
    seal(tmp_path, tables)
    assert contents(tmp_path) == contents(home)


def test_of_two_at_once_with_different_keys_one_decides_and_both_agree(tmp_path, tables, monkeypatch):
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
    ledger = ledger_of(tmp_path / "holdout")
    assert (ledger.number, ledger.rows["key_id"].nunique()) == (1, 1)
    assert found[0].holdout == found[1].holdout
    assert found[0].snapshot == found[1].snapshot
    assert found[0].holdout.key_id == ledger.key_id


@pytest.mark.slow
def test_a_bucket_gets_the_same_bytes_and_runs_read_them_there(tmp_path, home, sealed, tables, monkeypatch):
    with s3_server() as there:
        for name, value in there.items():
            monkeypatch.setenv(name, value)
        uri = f"s3://bucket/{uuid.uuid4().hex}"
        where = Places(f"{uri}/holdout", f"{uri}/snapshots")
        sources = uris(table_paths(definition.TABLES, tables))
        found = seal_holdout(definition, sources, where, KEY)
        assert (found.snapshot, found.holdout) == (sealed.snapshot, sealed.holdout)
        store = open_folder(uri)
        listed = [entry["path"] for page in obstore.list(store) for entry in page]
        assert {path: bytes(obstore.get(store, path).bytes()) for path in listed} == contents(home)
        assert not seal_holdout(definition, sources, where, KEY).new
        made = run_on(found, tmp_path / "run")
        assert len(read_examples(made["test"]).ids) == found.snapshot.shares["self-test"].examples

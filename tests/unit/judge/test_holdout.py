"""A data version: snapshot and holdout, disjoint, the same bytes every time, whoever is killed or late."""

import io
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from holdouts import KEY, OTHER_KEY, contents, ledger_of, seal
from judged import refused
from spam import definition
from spam.tables import sample, write
from tiers import sampled

from ml.core.canonical import digest, parse
from ml.core.errors import DataError, EvidenceError, PlatformError, UsageError
from ml.data.manifests import HOLDOUT_FILES, Holdout, Snapshot
from ml.judge import holdout, ledger, versions
from ml.judge.parts import same_answers
from ml.measure.evaluation import class_prior, logistic
from ml.problem import Examples
from ml.storage.objects import create_object

COLUMNS = list(definition.FEATURES)
SOURCE = sample()


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    write(folder, SOURCE)
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """The folder with the holdout of the tables; tests must not write into it."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def sealed(home, tables):
    return seal(home, tables)


def file(folder, sealed, name):
    """Read a file of the sealed holdout: a table, or JSON."""
    path = folder / "holdout" / sealed.snapshot.version / name
    return pd.read_parquet(path) if path.suffix == ".parquet" else parse(path.read_bytes())


def snapshot_table(sealed, name: str = "messages") -> pd.DataFrame:
    return pd.read_parquet(f"{sealed.snapshot_uri}/{name}.parquet")


def sealed_ids(folder: Path) -> set[str]:
    rows = ledger_of(folder / "holdout").rows
    return set(rows["id"][rows["side"] == "sealed"])


def test_the_snapshot_has_all_but_the_sealed_recordings_which_the_holdout_has(home, sealed):
    ids, messages = sealed_ids(home), snapshot_table(sealed)
    source = SOURCE["messages"].set_index("message")
    rows = ledger_of(home / "holdout").rows.set_index("id")
    assert len(ids) > 50
    assert not set(rows["recording"][list(ids)]) & set(rows["recording"][messages["message"]])
    for columns in (COLUMNS, ["subject"]):
        assert messages[columns].merge(source.loc[list(ids), columns], on=columns).empty
    for name, table in SOURCE.items():
        kept = table[~table["message"].isin(ids)].reset_index(drop=True)
        marks = ["recording", "share"] if name == definition.EXAMPLES_TABLE else []
        copied = snapshot_table(sealed, name).drop(columns=marks)
        pd.testing.assert_frame_equal(copied, kept, check_dtype=False)
    assert not set(messages["recording"]) & set(rows["recording"])
    # It is counted as a run does: sealed, and in each share.
    votes = SOURCE["votes"].dropna(subset=["verdict"])
    counts = pd.crosstab(votes["message"], votes["verdict"])

    def examples_of(ids) -> Examples:
        here = counts[counts.index.isin(ids)]
        features = source.loc[here.index, COLUMNS].to_numpy("float32")
        return Examples(here.index.tolist(), features, here.to_numpy(), definition.CLASSES, {})

    examples, expected = file(home, sealed, "examples.parquet"), examples_of(ids)
    assert examples["id"].tolist() == expected.ids
    np.testing.assert_array_equal(np.stack(examples["counts"]), expected.counts)
    np.testing.assert_array_equal(np.stack(examples["features"]), expected.features)
    parts = {share: examples_of(part["message"]) for share, part in messages.groupby("share")}
    amounts = [sealed.holdout.sealed, *(sealed.snapshot.shares[share] for share in parts)]
    for amount, part in zip(amounts, (expected, *parts.values()), strict=True):
        assert (amount.examples, amount.rows) == (len(part.ids), part.counts.sum())
    # The baselines are those of a run that trains on the one share.
    baselines, prior = file(home, sealed, "baselines.parquet"), class_prior(parts["train"])
    np.testing.assert_array_equal(np.stack(baselines["prior"]), np.tile(prior, (len(expected.ids), 1)))
    found = logistic(parts["train"], expected.features, prior)
    np.testing.assert_allclose(np.stack(baselines["logistic"]), found, atol=1e-9)


def test_the_manifests_say_what_is_there(home, sealed):
    version, there = sealed.snapshot.version, contents(home)
    manifest = there[f"snapshots/{version}/snapshot.json"]
    assert Snapshot.load(parse(manifest)) == sealed.snapshot
    assert Holdout.load(file(home, sealed, "holdout.json")) == sealed.holdout
    assert set(sealed.snapshot.files) == {"votes.parquet", "messages.parquet"}
    assert set(sealed.holdout.files) == set(HOLDOUT_FILES)
    for place, files in (("snapshots", sealed.snapshot.files), ("holdout", sealed.holdout.files)):
        for name, entry in files.items():
            data = there[f"{place}/{version}/{name}"]
            assert (entry.digest, entry.size) == (digest(data), len(data))
    assert sealed.holdout.snapshot_digest == digest(manifest)
    entries = ledger_of(home / "holdout")
    assert (sealed.holdout.ledger, sealed.holdout.ledger_digest) == (entries.number, entries.digest)
    assert (sealed.holdout.key_id, sealed.new, sealed.snapshot.synthetic) == (KEY.id, True, False)
    assert {sealed.holdout.definition, sealed.snapshot.definition} == {"spam/v1"}
    classes = file(home, sealed, "labels.json")["classes"]
    assert tuple(classes) == sealed.snapshot.classes == definition.CLASSES
    report = file(home, sealed, "data_report.json")
    assert (report["data_version"], report["rows"]["messages"]) == (version, len(SOURCE["messages"]))
    assert file(home, sealed, "profile.json")["data_version"] == version
    everything = b"".join(there.values())
    assert not any(secret in everything for secret in (KEY.secret, KEY.secret.hex().encode()))


def test_the_same_tables_find_what_is_there_and_read_no_table(home, sealed, tables, monkeypatch):
    before = contents(home)
    monkeypatch.setattr(holdout, "fetch", lambda *_: pytest.fail("the tables were read"))
    for key in (KEY, OTHER_KEY):
        again = seal(home, tables, key)
        assert (again.new, again.snapshot, again.holdout) == (False, sealed.snapshot, sealed.holdout)
    assert contents(home) == before


def test_other_tables_are_another_version_and_what_is_old_stays_where_it_is(tmp_path, home, sealed, tables):
    shutil.copytree(home, tmp_path, dirs_exist_ok=True)
    ids, before = sealed_ids(tmp_path), snapshot_table(sealed).set_index("message")
    # New messages, and some that are nearly sealed ones.
    new = SOURCE["messages"].tail(40).assign(urgency=np.linspace(0.1, 0.9, 40))
    near = SOURCE["messages"][SOURCE["messages"]["message"].isin(ids)].head(9)
    near = near.assign(links=near["links"] * 0.995)
    for prefix, table in {"new": new, "near": near}.items():
        table[["message", "subject"]] = prefix + table[["message", "subject"]]
    write(tmp_path / "more", {**SOURCE, "messages": pd.concat([SOURCE["messages"], new, near])})
    second = seal(tmp_path, tmp_path / "more", OTHER_KEY)
    assert second.snapshot.version != sealed.snapshot.version
    assert (second.holdout.ledger, second.holdout.key_id) == (2, OTHER_KEY.id)
    after = snapshot_table(second).set_index("message")
    assert ids <= sealed_ids(tmp_path)
    assert not ids & set(after.index)
    both = before.index.intersection(after.index)
    assert len(both) > 300
    pd.testing.assert_frame_equal(after.loc[both], before.loc[both])
    # Near copies are in neither part, and counted.
    assert not after.index.str.startswith("near").any()
    left, report = second.snapshot.left_out, file(tmp_path, second, "data_report.json")
    assert left.near_copies == second.holdout.left_out.near_copies == report["near_copies"] > 3
    assert left.both_sides == report["both_sides"] == 0
    # The old tables again: nothing new for the ledger, and a version at its new position.
    assert seal(tmp_path, tables).holdout.ledger == ledger_of(tmp_path / "holdout").number == 2


BROKEN = "the data contract is broken: messages.in_range: column urgency"
MARKED = "--data: the table messages at .* has a column share, as that of a snapshot has"


@pytest.mark.parametrize(
    ("column", "kind", "message"), [("urgency", DataError, BROKEN), ("share", UsageError, MARKED)]
)
def test_tables_that_cannot_be_sealed_decide_and_write_nothing(tmp_path, column, kind, message):
    write(tmp_path / "x", {**SOURCE, "messages": SOURCE["messages"].assign(**{column: 7.0})})
    refused(kind, message, seal, tmp_path, tmp_path / "x")
    assert not contents(tmp_path / "holdout")
    assert not (tmp_path / "snapshots").exists()


def test_the_sample_is_sealed_as_synthetic(tmp_path):
    found = seal(tmp_path, "sample:")
    assert (found.snapshot.synthetic, found.holdout.synthetic) == (True, True)


def test_the_newest_entry_is_held_against_the_newest_holdout(tmp_path, home, sealed, tables):
    seal(tmp_path, tables, OTHER_KEY)
    entry = "holdout/ledger/00000001.parquet"
    shutil.copy(home / entry, tmp_path / entry)
    before = contents(tmp_path)
    message = r"entry 1 of the ledger is missing or was changed: .*; restore the"
    refused(EvidenceError, message, seal, tmp_path, tables)
    (tmp_path / entry).unlink()
    refused(EvidenceError, message, seal, tmp_path, tables)
    assert contents(tmp_path) == {name: data for name, data in before.items() if name != entry}


DAMAGED = "json is damaged: .*; remove it, and run this again"
TURNED = (b'"both_sides":0', b'"both_sides":1')


@pytest.mark.parametrize(
    ("name", "edit", "message"),
    [
        ("holdout/{}/holdout.json", (b"ledger_digest", b"x"), DAMAGED),
        ("holdout/{}/holdout.json", (b'"splitter"', b'"x"'), DAMAGED),
        ("snapshots/{}/snapshot.json", TURNED, "is not the one that .*holdout.json was written with; remove"),
        ("snapshots/{}/votes.parquet", (b"", b"x"), "is there already, with other bytes; remove its folder"),
    ],
)
def test_what_is_there_must_be_what_was_written(tmp_path, home, sealed, tables, name, edit, message):
    shutil.copytree(home, tmp_path, dirs_exist_ok=True)
    path = tmp_path / name.format(sealed.snapshot.version)
    path.write_bytes(path.read_bytes().replace(*edit))
    if "votes" in name:
        # Without its manifest a version is written again.
        path.with_name("snapshot.json").unlink()
    refused(EvidenceError, message, seal, tmp_path, tables)


def test_a_place_that_cannot_be_listed_is_the_platforms_fault(tmp_path, monkeypatch):
    monkeypatch.setattr(holdout, "read_ledger", lambda *_: ledger_of(tmp_path / "elsewhere"))
    monkeypatch.setattr(versions, "open_folder", Mock(side_effect=OSError(5, "Input/output error")))
    refused(PlatformError, "cannot list .*/holdout: ", seal, tmp_path, "sample:")


def test_baselines_may_differ_by_rounding(home, sealed):
    data = contents(home)[f"holdout/{sealed.snapshot.version}/baselines.parquet"]

    def moved(by: float, rows: int | None = None) -> bytes:
        table, target = pd.read_parquet(io.BytesIO(data))[:rows], io.BytesIO()
        table["logistic"] = [row + by for row in table["logistic"]]
        schema = pq.read_schema(io.BytesIO(data))
        pq.write_table(pa.Table.from_pandas(table, schema, preserve_index=False), target)
        return target.getvalue()

    alike = [same_answers(data, other) for other in (moved(1e-12), moved(1e-5), moved(0, 3), b"no table")]
    assert alike == [True, False, False, False]


class Killed(BaseException):
    """What a test raises in place of a kill: nothing catches it."""


WRITES = 11
"""An entry of the ledger, which is tried twice, five files and two, and the two manifests."""

STOPS = [(stop, after) for stop in range(WRITES) for after in (False, True)]


@pytest.mark.parametrize(("stop", "after"), sampled(STOPS, [(0, True), (5, False), (10, False), (10, True)]))
def test_a_call_that_stopped_at_any_write_is_completed_by_the_next_the_manifests_last(
    tmp_path, home, sealed, tables, monkeypatch, stop, after
):
    written, kill = [], True

    def create(uri, data):
        stops = kill and len(written) == stop
        if stops and not after:
            raise Killed
        done = create_object(uri, data)
        written.append(uri.rpartition("/")[2])
        if stops:
            raise Killed
        return done

    for module in (ledger, holdout):
        monkeypatch.setattr(module, "create_object", create)
    with pytest.raises(Killed):
        seal(tmp_path, tables)
    kill = False
    seal(tmp_path, tables)
    assert contents(tmp_path) == contents(home)
    assert written[-2:] == ["holdout.json", "snapshot.json"]
    assert (stop, after) != STOPS[-1] or len(written) == WRITES


def test_of_two_at_once_with_different_keys_one_decides_and_both_agree(tmp_path, tables, monkeypatch):
    barrier, real, waited = threading.Barrier(2), holdout.append, threading.local()

    def together(*arguments):
        if not hasattr(waited, "once"):
            waited.once = True
            barrier.wait(60)
        return real(*arguments)

    monkeypatch.setattr(holdout, "append", together)
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda key: seal(tmp_path, tables, key), (KEY, OTHER_KEY))
    entries = ledger_of(tmp_path / "holdout")
    assert (entries.number, set(entries.rows["key_id"])) == (1, {entries.key_id})
    assert (one.holdout, one.snapshot) == (other.holdout, other.snapshot)
    assert one.holdout.key_id == entries.key_id

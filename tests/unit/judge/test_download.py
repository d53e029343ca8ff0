"""What is measured comes by digest: the candidate by its id, the champion from where no run can write."""

import datetime
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from attestations import make_attestation, trust_file
from candidates import put
from judged import CLAIMED, FEATURES, FILES, SEALED, profile, write_holdout
from reports import DATA_VERSION, POLICY

from ml.core.canonical import canonical_bytes
from ml.core.errors import EvidenceError, UsageError
from ml.core.files import file_digest, read_json, write_json
from ml.data.manifests import HOLDOUT_FILES
from ml.judge.download import address, claimed_by, download
from ml.judge.features import read_features
from ml.judge.work import Asked, require_files
from ml.release.promotion import promote
from ml.release.store import ModelStore
from ml.release.trust import read_trust
from ml.storage.s3 import ENDPOINTS


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sealed")
    write_holdout(folder)
    return folder


@pytest.fixture
def world(sealed, tmp_path):
    """A store with one candidate, and the sealed holdouts."""
    shutil.copytree(sealed, tmp_path / "holdout")
    store = ModelStore(str(tmp_path / "store"), create=True, head="")
    return store, store.put_candidate(FILES, "r1", {})


def fetch(world, tmp_path, candidate="", version=DATA_VERSION, claimed=CLAIMED) -> Asked:
    store, only = world
    places = store.uri, str(tmp_path / "holdout")
    return download(tmp_path / "work", *places, candidate or only, version, claimed)


def refused(message, world, tmp_path, kind=EvidenceError, **changes):
    with pytest.raises(kind, match=message) as caught:
        fetch(world, tmp_path, **changes)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "work/asked.json").exists()


def test_it_fills_the_work_folder(world, tmp_path):
    asked = fetch(world, tmp_path, candidate=world[1][:12])
    work = tmp_path / "work"
    assert Asked.load(read_json(work / "asked.json")) == asked
    assert (asked.candidate, asked.champion, asked.champion_kind) == (world[1], "", "")
    assert asked.holdout.version == DATA_VERSION
    assert {path.name: path.read_bytes() for path in (work / "model").iterdir()} == FILES
    assert not (work / "champion").exists()
    require_files(work, asked, "model", "features", "labels", "champion")
    labels = {f"labels/{name}" for name in (*HOLDOUT_FILES, "champion_profile.json")}
    assert set(asked.files) == {"features/features.parquet", *labels}


def test_the_features_are_those_of_the_sealed_examples_and_nothing_else(world, tmp_path):
    fetch(world, tmp_path)
    path = tmp_path / "work/features/features.parquet"
    assert read_features(path)[0] == FEATURES
    np.testing.assert_array_equal(read_features(path)[1], SEALED.features)
    assert not any(one.encode() in path.read_bytes() for one in SEALED.ids)


def test_a_candidate_or_a_holdout_that_is_not_there_is_refused(world, tmp_path):
    refused("there is no candidate", world, tmp_path, candidate="a" * 64)
    refused("there is no holdout 00", world, tmp_path, version="0" * 16)
    shutil.rmtree(tmp_path / "holdout")
    refused("there is no folder", world, tmp_path, UsageError)


@pytest.mark.parametrize("name", [*FILES, *HOLDOUT_FILES])
def test_a_file_that_was_changed_is_refused(world, tmp_path, name):
    model = Path(world[0].uri, "candidates", world[1], name)
    path = model if name in FILES else tmp_path / "holdout" / DATA_VERSION / name
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    remedy = "" if name in FILES else "; `jukebox judge holdout`"
    refused(f"{name} is missing or was changed{remedy}", world, tmp_path)


def test_a_manifest_that_is_none_or_of_another_version_is_one_line(world, tmp_path):
    holdout = tmp_path / "holdout" / DATA_VERSION
    shutil.copytree(holdout, tmp_path / "holdout" / ("f" * 16))
    refused("of another version", world, tmp_path, version="f" * 16)
    for text in (b"", b"{}", b"[]", b"\xff"):
        (holdout / "holdout.json").write_bytes(text)
        refused(r"holdout\.json: ", world, tmp_path)


def test_a_self_checked_champion_is_named_and_not_compared_with(world, tmp_path):
    champion = put(world[0])
    promote(world[0], champion, POLICY)
    asked = fetch(world, tmp_path)
    assert (asked.champion, asked.champion_kind, asked.is_compared) == (champion, "self-checked", False)
    assert not (tmp_path / "work/champion").exists()
    assert (tmp_path / "work/labels/champion_profile.json").read_bytes() == b""


@pytest.fixture
def attested(world, tmp_path):
    """An attested champion: its id, and its attestation."""
    store, files = world[0], {**FILES, "model.onnx": b"champion"}
    champion = store.put_candidate(files, "r0", {})
    key, trust = trust_file(tmp_path / "keys")
    envelope = make_attestation(files, key=key, at=datetime.datetime.now(datetime.UTC))
    promote(store, champion, POLICY, attestation=envelope, trust=read_trust(trust))
    return champion


def test_an_attested_champion_comes_with_the_profile_of_its_holdout(world, tmp_path, attested):
    asked = fetch(world, tmp_path)
    assert (asked.champion, asked.champion_kind, asked.is_compared) == (attested, "attested", True)
    work = tmp_path / "work"
    assert (work / "champion/model.onnx").read_bytes() == b"champion"
    assert (work / "labels/champion_profile.json").read_bytes() == canonical_bytes(profile().to_json())
    assert asked.files["champion/model.onnx"] == file_digest(work / "champion/model.onnx")


def test_the_champion_is_read_from_where_runs_cannot_write(world, tmp_path, attested):
    Path(world[0].uri, "candidates", attested, "model.onnx").write_bytes(b"another")
    fetch(world, tmp_path)
    assert (tmp_path / "work/champion/model.onnx").read_bytes() == b"champion"


def test_a_champions_holdout_that_is_gone_leaves_an_empty_profile(world, tmp_path, attested):
    profile_of = tmp_path / "holdout" / DATA_VERSION
    newer = tmp_path / "holdout" / ("f" * 16)
    shutil.move(profile_of, newer)
    write_json(newer / "holdout.json", {**read_json(newer / "holdout.json"), "version": "f" * 16})
    fetch(world, tmp_path, version="f" * 16)
    assert (tmp_path / "work/labels/champion_profile.json").read_bytes() == b""


def test_a_champions_attestation_that_was_changed_is_refused(world, tmp_path, attested):
    (envelope,) = Path(world[0].uri, "promoted", attested, "attestations").iterdir()
    envelope.write_bytes(envelope.read_bytes() + b"\n")
    refused("is missing or was changed; restore it", world, tmp_path)


def test_what_a_run_claims_is_read_beside_its_candidate(world):
    store = world[0]
    candidate = put(store, commit="c0ffee", model_name="digits")
    claimed = claimed_by(store, candidate, "")
    assert (claimed.commit, claimed.model_name, claimed.dirty) == ("c0ffee", "digits", False)
    assert claimed_by(store, candidate, claimed.run_id) == claimed


def test_what_others_leave_beside_a_candidate_does_not_hide_what_its_run_claims(world):
    """Every run can write there: junk, more than fits into memory, and the evidence of another candidate."""
    store = world[0]
    candidate = put(store, commit="c0ffee")
    other = put(store, "B", commit="bad")
    evidence = store.read_reports(other)["run-of-B"]["evidence.json"]
    for run, data in (
        ("junk", b"junk"),
        ("other", evidence),
        *((f"large{n}", b" " * 2**24) for n in range(20)),
    ):
        store.objects.put(f"candidates/{candidate}/reports/{run}/evidence.json", data)
    # Newer than the rest, if clocks are coarse.
    path = Path(store.uri, f"candidates/{candidate}/reports/run-of-A/evidence.json")
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 60))
    with pytest.raises(EvidenceError, match=r"that of run .* cannot be used.*; name a run with --run"):
        claimed_by(store, candidate, "")
    assert claimed_by(store, candidate, "run-of-A").commit == "c0ffee"
    for number in range(20):
        Path(store.uri, f"candidates/{candidate}/reports/large{number}/evidence.json").unlink()
    assert claimed_by(store, candidate, "").commit == "c0ffee"


def test_a_run_that_claims_nothing_is_told(world):
    with pytest.raises(EvidenceError, match=r"no report of any run beside candidate .*--claims"):
        claimed_by(*world, "")
    with pytest.raises(EvidenceError, match="no report of run r7 beside candidate"):
        claimed_by(*world, "r7")


@pytest.mark.parametrize(
    ("uri", "environment", "expected"),
    [
        ("/mnt/store", {"AWS_ENDPOINT_URL": "http://s3:9000"}, ""),
        ("file:///mnt/store", {}, ""),
        ("s3://bucket/x", {"AWS_ENDPOINT_URL": "http://s3:9000"}, "s3:9000"),
        ("s3://bucket/x", {"AWS_ENDPOINT_URL": "http://s3"}, "s3:80"),
        ("s3://bucket/x", {"AWS_S3_ENDPOINT": "s3.local"}, "s3.local:443"),
        ("s3://bucket/x", {"AWS_ENDPOINT_URL": "https://[::1]:9000/"}, "[::1]:9000"),
        ("s3://bucket/x", {"AWS_REGION": "eu-west-1"}, "s3.eu-west-1.amazonaws.com:443"),
        ("s3://bucket/x", {}, "s3.us-east-1.amazonaws.com:443"),
    ],
)
def test_the_address_that_infer_must_not_reach(uri, environment, expected, monkeypatch):
    for name in (*ENDPOINTS, "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert address(uri) == expected

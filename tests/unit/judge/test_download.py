"""What is measured comes by digest: the candidate by its id, the champion from where no run can write."""

import datetime
import shutil
from pathlib import Path

import numpy as np
import pytest
from attestations import make_attestation, trust_file
from candidates import put
from judged import CLAIMED, FEATURES, FILES, SEALED, profile, refused, write_holdout
from reports import DATA_VERSION, POLICY

from ml.core.errors import EvidenceError, UsageError
from ml.core.files import read_json, write_json
from ml.data.manifests import HOLDOUT_FILES
from ml.judge.download import address, claimed_by, download
from ml.judge.features import read_features
from ml.judge.work import Asked, require_files
from ml.release.promotion import promote
from ml.release.store import ModelStore
from ml.release.trust import read_trust
from ml.storage.s3 import ENDPOINTS

OTHER = "f" * 16


@pytest.fixture
def store(tmp_path):
    return ModelStore(str(tmp_path / "store"), create=True, head="")


@pytest.fixture
def fetch(store, tmp_path):
    """Return a function that downloads the one candidate of a store, and a sealed holdout."""
    only = store.put_candidate(FILES, "r1", {})
    write_holdout(tmp_path / "holdout")

    def run(candidate=only[:12], version=DATA_VERSION) -> Asked:
        return download(tmp_path / "work", store.uri, f"{tmp_path}/holdout", candidate, version, CLAIMED)

    return run


def test_it_fills_the_work_folder(fetch, store, tmp_path):
    asked, work = fetch(), tmp_path / "work"
    assert Asked.load(read_json(work / "asked.json")) == asked
    assert ([asked.candidate], asked.champion, asked.champion_kind) == (store.candidates(), "", "")
    assert (asked.holdout.version, asked.claimed) == (DATA_VERSION, CLAIMED)
    assert {path.name: path.read_bytes() for path in (work / "model").iterdir()} == FILES
    assert not (work / "champion").exists()
    require_files(work, asked, "model", "features", "labels", "champion")
    path = work / "features/features.parquet"
    labels = {f"labels/{name}" for name in (*HOLDOUT_FILES, "champion_profile.json")}
    assert set(asked.files) == {"features/features.parquet", *labels}
    # The features are those of the sealed examples, and nothing else.
    assert read_features(path)[0] == FEATURES
    np.testing.assert_array_equal(read_features(path)[1], SEALED.features)
    assert not any(one.encode() in path.read_bytes() for one in SEALED.ids)
    # A self-checked champion is named, and not compared with.
    champion = put(store)
    promote(store, champion, POLICY)
    asked = fetch()
    assert (asked.champion, asked.champion_kind, asked.is_compared) == (champion, "self-checked", False)
    assert not (work / "champion").exists()
    assert (work / "labels/champion_profile.json").read_bytes() == b""


def test_what_is_missing_or_was_changed_is_refused(fetch, tmp_path):
    remedy = "; `jukebox judge holdout` seals one"
    holdout = tmp_path / "holdout" / DATA_VERSION
    refused(EvidenceError, "there is no candidate", fetch, candidate="a" * 64)
    refused(EvidenceError, f"there is no holdout 00.*{remedy}", fetch, version="0" * 16)
    shutil.copytree(holdout, tmp_path / "holdout" / OTHER)
    refused(EvidenceError, f"of another version{remedy}", fetch, version=OTHER)
    labels = holdout / "labels.json"
    labels.write_bytes(labels.read_bytes()[:-1] + b"x")
    refused(EvidenceError, f"labels.json is missing or was changed{remedy}", fetch)
    labels.unlink()
    refused(EvidenceError, f"labels.json is missing or was changed{remedy}", fetch)
    (holdout / "holdout.json").write_bytes(b"[]")
    refused(EvidenceError, rf"holdout\.json: .*{remedy}", fetch)
    shutil.rmtree(tmp_path / "holdout")
    refused(UsageError, "there is no folder", fetch)
    assert not (tmp_path / "work/asked.json").exists()


def test_an_attested_champion_comes_with_its_holdouts_profile(fetch, store, tmp_path):
    files = {**FILES, "model.onnx": b"champion"}
    champion = store.put_candidate(files, "r0", {})
    key, trust = trust_file(tmp_path / "keys")
    envelope = make_attestation(files, key=key, at=datetime.datetime.now(datetime.UTC))
    promote(store, champion, POLICY, attestation=envelope, trust=read_trust(trust))
    # It is read from where runs cannot write.
    Path(store.uri, "candidates", champion, "model.onnx").write_bytes(b"another")
    asked, work, holdout = fetch(), tmp_path / "work", tmp_path / "holdout"
    assert (asked.champion, asked.champion_kind, asked.is_compared) == (champion, "attested", True)
    assert (work / "champion/model.onnx").read_bytes() == b"champion"
    assert (work / "labels/champion_profile.json").read_bytes() == profile().to_bytes()
    require_files(work, asked, "champion", "labels")
    assert "champion/model.onnx" in asked.files
    # Where its holdout is gone, the profile is empty.
    manifest = (holdout / DATA_VERSION).rename(holdout / OTHER) / "holdout.json"
    write_json(manifest, {**read_json(manifest), "version": OTHER})
    fetch(version=OTHER)
    assert (work / "labels/champion_profile.json").read_bytes() == b""
    (envelope,) = Path(store.uri, "promoted", champion, "attestations").iterdir()
    envelope.write_bytes(envelope.read_bytes() + b"\n")
    refused(EvidenceError, "is missing or was changed; restore it", fetch, version=OTHER)


def test_what_a_run_claims_is_read_beside_its_candidate_whatever_others_leave_there(store):
    """Every run can write there: junk, and the evidence of another candidate."""
    other = store.put_candidate(FILES, "r1", {})
    refused(EvidenceError, r"no report of any run beside candidate .*--claims", claimed_by, store, other, "")
    candidate = put(store, commit="c0ffee", model_name="digits")
    evidence = store.read_reports(put(store, "B"))["run-of-B"]["evidence.json"]
    for run, data in (("junk", b"junk"), ("other", evidence)):
        store.objects.put(f"candidates/{candidate}/reports/{run}/evidence.json", data)
    for run in ("", "run-of-A"):
        claimed = claimed_by(store, candidate, run)
        assert (claimed.commit, claimed.model_name, claimed.dirty) == ("c0ffee", "digits", False)
    junk = r"no report of run junk beside .* \(that of run junk cannot be used: .*\); name a run"
    refused(EvidenceError, junk, claimed_by, store, candidate, "junk")
    refused(EvidenceError, "other is about another candidate", claimed_by, store, candidate, "other")


@pytest.mark.parametrize(
    ("uri", "environment", "expected"),
    [
        ("/mnt/store", {"AWS_ENDPOINT_URL": "http://s3:9000"}, ""),
        ("s3://bucket/x", {"AWS_ENDPOINT_URL": "http://s3:9000"}, "s3:9000"),
        ("s3://bucket/x", {"AWS_ENDPOINT_URL": "http://s3"}, "s3:80"),
        ("s3://bucket/x", {"AWS_S3_ENDPOINT": "s3.local"}, "s3.local:443"),
        ("s3://bucket/x", {"AWS_ENDPOINT_URL": "https://[::1]:9000/"}, "[::1]:9000"),
        ("s3://bucket/x", {"AWS_REGION": "eu-west-1"}, "s3.eu-west-1.amazonaws.com:443"),
        ("s3://bucket/x", {"AWS_DEFAULT_REGION": "eu-west-2"}, "s3.eu-west-2.amazonaws.com:443"),
        ("s3://bucket/x", {}, "s3.us-east-1.amazonaws.com:443"),
    ],
)
def test_the_address_that_infer_must_not_reach(uri, environment, expected, monkeypatch):
    for name in (*ENDPOINTS, "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert address(uri) == expected

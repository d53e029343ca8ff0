"""Candidates: content addresses, no byte that may change, and a list that nothing else below hides."""

import os

import boto3
import pytest
from candidates import candidate_files, delete, model_of, overwrite, paths, put, read, reports_of, store_run
from old_stores import old_candidate
from promotions import EVERYWHERE
from reports import POLICY

from ml.core.canonical import canonical_bytes, digest, parse
from ml.core.errors import EvidenceError, PlatformError, UsageError
from ml.release import candidates, listing
from ml.release.promotion import promote
from ml.release.store import ModelStore
from ml.storage import s3

FILES = candidate_files()
MODEL, REPORTS = model_of(FILES), reports_of(FILES)
ALL = [*MODEL, "manifest.json"]
A = "a" * 64


def refused(store, candidate, message):
    with pytest.raises(EvidenceError, match=message):
        store.read_candidate(candidate)


def test_what_is_put_is_read_back_under_the_digest_of_its_manifest(store):
    candidate = store.put_candidate(MODEL, "run-1", REPORTS)
    overwrite(store.uri, f"candidates/{candidate}/extra.bin", b"x")
    assert store.read_candidate(candidate) == MODEL
    assert store.candidates() == [candidate]
    assert store.read_reports(candidate) == {"run-1": REPORTS}
    manifest = read(store.uri, f"candidates/{candidate}/manifest.json")
    assert digest(manifest) == f"sha256:{candidate}"
    stated = {name: (entry["digest"], entry["size"]) for name, entry in parse(manifest)["files"].items()}
    assert stated == {name: (digest(data), len(data)) for name, data in MODEL.items()}


def test_the_same_candidate_of_another_run_only_gets_more_reports(store):
    candidate = store.put_candidate(MODEL, "run-1", REPORTS)
    before = paths(store.uri)
    assert store.put_candidate(MODEL, "run-1", REPORTS) == candidate
    assert paths(store.uri) == before
    other = {**REPORTS, "evidence.json": b"of another run"}
    assert store.put_candidate(MODEL, "run-2", other) == candidate
    assert store.read_reports(candidate) == {"run-2": other, "run-1": REPORTS}
    assert len(paths(store.uri)) == len(before) + len(REPORTS)
    with pytest.raises(EvidenceError, match=r"reports/run-1/evidence\.json is there already, with other"):
        store.put_candidate(MODEL, "run-1", {"evidence.json": b"better"})


@pytest.mark.parametrize(
    ("run", "report"), [("", "a.json"), ("../x", "a.json"), ("a/b", "a.json"), ("run", "../a.json")]
)
def test_reports_under_an_invalid_name_are_refused(folder, run, report):
    with pytest.raises(EvidenceError, match="cannot be stored"):
        folder.put_candidate(MODEL, run, {report: b"{}"})
    assert paths(folder.uri) == []


def test_what_another_run_has_put_in_the_place_of_a_candidate_is_replaced(store):
    """The id says which bytes belong there: a run that was first with others does not keep the place."""
    candidate = store.put_candidate(MODEL, "run-1", REPORTS)
    for name in ALL:
        overwrite(
            store.uri, f"candidates/{candidate}/{name}", b"planted, and longer than what belongs here" * 9
        )
    assert store.put_candidate(MODEL, "run-2", REPORTS) == candidate
    assert store.read_candidate(candidate) == MODEL


def test_a_candidate_that_could_not_be_stored_as_a_whole_is_none(tmp_path):
    candidate = store_run(ModelStore(str(tmp_path / "elsewhere"), create=True), FILES)
    store = ModelStore(str(tmp_path / "store"), create=True)
    blocked = tmp_path / "store" / "candidates" / candidate / "reports"
    blocked.parent.mkdir(parents=True)
    blocked.write_bytes(b"a file where a folder should be")
    with pytest.raises(PlatformError, match="cannot write"):
        store_run(store, FILES)
    assert store.candidates() == []
    refused(store, candidate, "no candidate")


DAMAGE = {
    "flipped": lambda data: bytes([data[0] ^ 1]) + data[1:],
    "truncated": lambda data: data[:-1],
    "emptied": lambda data: b"",
    "longer": lambda data: data + b"\n",
}


@pytest.mark.parametrize("damage", [*DAMAGE, "deleted", "huge"])
@pytest.mark.parametrize("name", ALL)
def test_a_changed_deleted_or_huge_file_is_refused_by_name(folder, name, damage):
    candidate = store_run(folder, FILES)
    path = f"candidates/{candidate}/{name}"
    if damage == "deleted":
        delete(folder.uri, path)
    elif damage == "huge":
        # Its size is checked first: four terabytes are not read.
        os.truncate(f"{folder.uri}/{path}", 1 << 42)
    else:
        overwrite(folder.uri, path, DAMAGE[damage](read(folder.uri, path)))
    refused(folder, candidate, f"{candidate}.*{'' if damage == 'deleted' else name.removesuffix('.json')}")


def test_another_manifest_is_refused_also_with_its_files(store, monkeypatch):
    candidate, other = store_run(store, FILES), put(store, "B")
    path = f"candidates/{candidate}/manifest.json"
    manifest = read(store.uri, path)
    changed = [({"colour": "red"}, "colour: unknown key")]
    changed += [({"files": {}}, "model.onnx, served.json is missing")]
    forms = [(canonical_bytes({**parse(manifest), **change}), message) for change, message in changed]
    for data, message in [*forms, (manifest.replace(b":", b": ", 1), "manifest was changed")]:
        overwrite(store.uri, path, data)
        refused(store, candidate, message)
    overwrite(store.uri, path, manifest)
    with monkeypatch.context() as patch:
        patch.setattr(candidates, "LARGEST_FILE", 3)
        refused(store, candidate, r"model\.\w+ has more than 3 bytes")
    for name in ALL:
        overwrite(store.uri, f"candidates/{candidate}/{name}", read(store.uri, f"candidates/{other}/{name}"))
    refused(store, candidate, "manifest was changed")


def test_candidates_are_found_by_the_beginning_of_their_id(store):
    first, second = put(store, "A"), put(store, "B")
    assert (store.find_candidate(first[:8]), store.find_candidate(second)) == (first, second)
    with pytest.raises(EvidenceError, match="0 candidates"):
        store.find_candidate("0" * 12)
    for short in ("", first[:7], "../../../x"):
        with pytest.raises(EvidenceError, match="give 8 characters"):
            store.find_candidate(short)


def test_a_promoted_model_is_found_when_its_candidate_is_gone(folder):
    candidate = put(folder)
    promote(folder, candidate, POLICY)
    for path in (path for path in paths(folder.uri) if path.startswith("candidates/")):
        delete(folder.uri, path)
    assert folder.find_candidate(candidate[:12]) == candidate
    assert not promote(folder, candidate, POLICY).new


def test_reports_that_cannot_be_read_are_left_out_and_of_many_the_newest_are_read(folder, monkeypatch):
    candidate = store_run(folder, FILES)
    beside = f"candidates/{candidate}/reports"
    for path in ("a run/evidence.json", "run-2/evidence.txt", "run-3/deep/evidence.json", "evidence.json"):
        overwrite(folder.uri, f"{beside}/{path}", b"{}")
    overwrite(folder.uri, f"{beside}/run-9/evidence.json", b"x" * 100_000)
    monkeypatch.setattr(candidates, "LARGEST_REPORT", 99_999)
    assert folder.read_reports(candidate) == {"run-of-A": REPORTS}
    for number in range(5):
        path = f"{beside}/run-{number}/evidence.json"
        overwrite(folder.uri, path, b"{}")
        os.utime(f"{folder.uri}/{path}", (2**31 + number, 2**31 + number))
    monkeypatch.setattr(candidates, "MOST_REPORTS", 3)
    assert list(folder.read_reports(candidate)) == ["run-4", "run-3", "run-2"]
    monkeypatch.setattr(candidates, "MOST_REPORTED", 4)
    assert list(folder.read_reports(candidate)) == ["run-4", "run-3"]
    assert folder.read_reports(candidate, "run-0") == {"run-0": {"evidence.json": b"{}"}}
    assert folder.read_reports(candidate, "../run-0") == folder.read_reports(candidate, "nobody") == {}


def test_a_folder_that_is_missing_or_a_bucket_that_does_not_answer_is_told(bucket, monkeypatch, tmp_path):
    with pytest.raises(UsageError, match="nowhere"):
        ModelStore(str(tmp_path / "nowhere"))
    assert ModelStore(f"{tmp_path}/new/", create=True).uri == f"{tmp_path}/new"
    monkeypatch.setattr(s3, "RETRY", {"max_retries": 0})
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    store = ModelStore("s3://models/store")
    for work, message in (
        (store.log, "cannot list s3://models/store/promotions"),
        (lambda: store.is_promoted("a"), "cannot read s3://models/store/promoted/a/manifest.json"),
        (lambda: store.read_candidate("a" * 64), "cannot read s3://models/store/candidates/a"),
        (lambda: store.objects.put("x", b""), "cannot write s3://models/store/x"),
    ):
        with pytest.raises(PlatformError, match=message):
            work()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("notes.txt", "no candidate"),
        ("A" * 64 + "/manifest.json", "no candidate"),
        (f"{A}/weights.bin", "not part of a candidate"),
        ("{candidate}/evidence.json", "not part of a candidate"),
        (f"{A}/reports/evidence.json", "not part of a candidate"),
        (f"{A}/reports/a run/evidence.json", "not part of a candidate"),
        (f"{A}/reports/run/deep/evidence.json", "not part of a candidate"),
    ],
)
def test_what_is_no_candidate_is_skipped_and_named(store, path, reason):
    candidate = put(store, policy=EVERYWHERE)
    path = f"candidates/{path.format(candidate=candidate)}"
    overwrite(store.uri, path, b"{}")
    found = store.listing()
    assert found.candidates == (candidate,)
    assert found.skipped == (f"{path}: {reason}",)
    assert promote(store, store.find_candidate(candidate[:12]), EVERYWHERE).new


@pytest.mark.parametrize("path", ["manifest.json", "model.onnx", "served.json", "reports/run/evidence.json"])
def test_an_object_that_is_too_large_is_skipped_and_named(folder, path):
    candidate = put(folder)
    overwrite(folder.uri, f"candidates/{A}/{path}", b"")
    os.truncate(f"{folder.uri}/candidates/{A}/{path}", 1 << 40)
    found = folder.listing()
    assert found.candidates == (candidate,)
    assert found.skipped == (f"candidates/{A}/{path}: {1 << 40} bytes are too many",)


def test_of_many_objects_some_are_named_and_of_very_many_some_are_listed(folder, monkeypatch):
    candidate = put(folder)
    monkeypatch.setattr(listing, "MOST_NAMED", 3)
    for number in range(10):
        overwrite(folder.uri, f"candidates/{number}", b"")
    *named, rest = folder.listing().skipped
    assert (len(named), rest) == (3, "7 more objects")
    monkeypatch.setattr(listing, "MOST_LISTED", 9)
    stopped = "candidates/: there are more than 9 objects; other candidates can be given by their full id"
    assert folder.listing().skipped[-1] == stopped
    assert promote(folder, candidate, POLICY, run="run-of-A").new


def test_candidates_of_an_older_jukebox_are_counted_and_not_offered(folder):
    candidate = put(folder)
    for name in "AB":
        old_candidate(folder.uri, name)
    found = folder.listing()
    assert found.candidates == (candidate,)
    assert found.skipped == ("2 candidates of an older jukebox, which cannot be promoted",)


@pytest.mark.parametrize("key", ["/x", "../x", "{other}/./x", "{other}/a\x01"])
def test_a_key_that_is_no_path_ends_the_list_and_stops_no_promotion(bucket, s3_environment, key):
    """obstore cannot list a page with such a key: what it got is shown, and the key is named."""
    candidate = put(bucket, policy=EVERYWHERE)
    name = f"{bucket.uri.rpartition('/')[2]}/candidates/{key.format(other='f' * 64)}"
    client = boto3.client("s3", endpoint_url=s3_environment["AWS_ENDPOINT_URL"])
    client.put_object(Bucket="bucket", Key=name, Body=b"x")
    (told,) = bucket.listing().skipped
    assert told.startswith("candidates/: the list ends early: Encountered object with invalid path: ")
    assert "other candidates can be given by their full id" in told
    assert promote(bucket, bucket.find_candidate(candidate), EVERYWHERE, run="run-of-A").new
    assert len(bucket.log()) == 1


def test_a_store_without_candidates_has_an_empty_list(store):
    assert store.candidates() == []
    put(store)
    for path in paths(store.uri):
        if path.endswith("manifest.json"):
            delete(store.uri, path)
    assert store.candidates() == []

"""Candidates: content addresses, no byte that may change, and a list that nothing else below hides."""

import os

import boto3
import pytest
from candidates import candidate_files, delete, model_of, overwrite, paths, put, read, reports_of, store_run
from old_stores import old_candidate
from promotions import refused
from reports import POLICY

from ml.core.canonical import digest
from ml.core.errors import PlatformError
from ml.gate.candidate import manifest_of
from ml.release import candidates, listing
from ml.release.listing import Listing
from ml.release.promotion import promote
from ml.release.replay import find_evidence
from ml.release.store import ModelStore
from ml.storage import s3

FILES = candidate_files()
MODEL, REPORTS, MANIFEST = model_of(FILES), reports_of(FILES), manifest_of(model_of(FILES))
CANDIDATE, A, HUGE = f"candidates/{MANIFEST.id}", "a" * 64, 1 << 40
READ, PUT = ModelStore.read_candidate, ModelStore.put_candidate


def test_what_is_put_is_read_back_and_another_run_only_adds_its_reports(store):
    assert store.candidates() == []
    assert store.put_candidate(MODEL, "run-1", REPORTS) == MANIFEST.id
    assert (store.read_candidate(MANIFEST.id), store.candidates()) == (MODEL, [MANIFEST.id])
    assert digest(read(store.uri, f"{CANDIDATE}/manifest.json")) == f"sha256:{MANIFEST.id}"
    before = paths(store.uri)
    store.put_candidate(MODEL, "run-1", REPORTS)
    assert paths(store.uri) == before
    store.put_candidate(MODEL, "run-2", {"evidence.json": b"other"})
    assert store.read_reports(MANIFEST.id) == {"run-2": {"evidence.json": b"other"}, "run-1": REPORTS}
    assert len(paths(store.uri)) == len(before) + 1
    another = {"evidence.json": b"better"}
    refused(store, r"run-1/evidence\.json is there already, with other", PUT, MODEL, "run-1", another)
    refused(store, "cannot be stored", PUT, MODEL, "../x", REPORTS)
    refused(store, "cannot be stored", PUT, MODEL, "run-3", {"../a.json": b"{}"})


def test_what_another_run_has_put_in_the_place_of_a_candidate_is_replaced(store):
    """The id says which bytes belong there: a run that was first with others does not keep the place."""
    for name in (*MODEL, "manifest.json"):
        overwrite(store.uri, f"{CANDIDATE}/{name}", b"planted, and longer than it should be" * 9)
    store_run(store, FILES)
    assert store.read_candidate(MANIFEST.id) == MODEL


def test_a_candidate_that_could_not_be_stored_as_a_whole_is_none(store):
    overwrite(store.uri, f"{CANDIDATE}/reports", b"a file where a folder should be")
    with pytest.raises(PlatformError, match="cannot write"):
        store_run(store, FILES)
    assert store.candidates() == []


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        *(
            ("model.keras", data, "model.keras is missing or was changed")
            for data in (b"weights", None, HUGE)
        ),
        ("manifest.json", None, "there is no candidate .*`jukebox models"),
        ("manifest.json", HUGE, f"has {HUGE} bytes, more than 512"),
        ("manifest.json", b"{}", "its manifest cannot be used: .*; run the pipeline again"),
        ("manifest.json", MANIFEST.to_bytes() + b"\n", "its manifest was changed"),
        ("manifest.json", manifest_of({**MODEL, "model.onnx": b"x"}).to_bytes(), "its manifest was changed"),
    ],
    ids=range(8),
)
def test_a_changed_deleted_or_huge_file_is_refused_by_name_and_not_read(store, name, data, message):
    store_run(store, FILES)
    if data is None:
        delete(store.uri, f"{CANDIDATE}/{name}")
    elif data == HUGE:
        os.truncate(f"{store.uri}/{CANDIDATE}/{name}", HUGE)
    else:
        overwrite(store.uri, f"{CANDIDATE}/{name}", data)
    refused(store, message, READ, MANIFEST.id)


def test_a_manifest_of_a_file_that_is_too_large_is_refused(store, monkeypatch):
    store_run(store, FILES)
    monkeypatch.setattr(candidates, "LARGEST_FILE", 3)
    refused(store, r"model\.\w+ has more than 3 bytes", READ, MANIFEST.id)


def test_candidates_are_named_by_the_beginning_of_their_id_also_when_only_promoted(store):
    first, second = put(store, "A"), put(store, "B")
    promote(store, first, POLICY)
    for path in (path for path in paths(store.uri) if path.startswith(f"candidates/{first}")):
        delete(store.uri, path)
    assert (store.find_candidate(first[:8]), store.find_candidate(second)) == (first, second)
    assert not promote(store, first, POLICY).new
    for short, message in (("0" * 12, "0 candidates"), (first[:7], "give 8"), ("../../../x", "give 8")):
        refused(store, message, ModelStore.find_candidate, short)


def test_reports_that_cannot_be_read_are_left_out_and_of_many_the_newest_are_read(store, monkeypatch):
    store_run(store, FILES)
    for path in ("a run/evidence.json", "run-2/evidence.txt", "run-3/deep/evidence.json", "evidence.json"):
        overwrite(store.uri, f"{CANDIDATE}/reports/{path}", b"{}")
    overwrite(store.uri, f"{CANDIDATE}/reports/run-9/evidence.json", b"x" * 100_000)
    monkeypatch.setattr(candidates, "LARGEST_REPORT", 99_999)
    assert store.read_reports(MANIFEST.id) == {"run-of-A": REPORTS}
    for number in range(5):
        path = f"{CANDIDATE}/reports/run-{number}/evidence.json"
        overwrite(store.uri, path, b"{}")
        os.utime(f"{store.uri}/{path}", (2**31 + number, 2**31 + number))
    for limit, most, runs in (("MOST_REPORTS", 3, "432"), ("MOST_REPORTED", 4, "43")):
        monkeypatch.setattr(candidates, limit, most)
        assert list(store.read_reports(MANIFEST.id)) == [f"run-{number}" for number in runs]
    assert store.read_reports(MANIFEST.id, "run-0") == {"run-0": {"evidence.json": b"{}"}}
    assert store.read_reports(MANIFEST.id, "../run-0") == store.read_reports(MANIFEST.id, "nobody") == {}


def test_a_bucket_that_does_not_answer_is_told(bucket, monkeypatch):
    monkeypatch.setattr(s3, "RETRY", {"max_retries": 0})
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    store = ModelStore("s3://models/store")
    for message, work, *given in (
        ("list s3://models/store/promotions", store.log),
        ("read s3://models/store/promoted/a/manifest.json", store.is_promoted, "a"),
        ("read s3://models/store/candidates/a", store.read_candidate, A),
        ("write s3://models/store/x", store.objects.put, "x", b""),
        ("list s3://models/evidence", find_evidence, ["s3://models/evidence"], 1),
    ):
        with pytest.raises(PlatformError, match=f"cannot {message}"):
            work(*given)


STRANGE = ("weights.bin", "reports/x.json", "reports/a run/x.json", "reports/run/x.txt", "x/run/x.json")
LARGE = ("manifest.json", "model.onnx", "reports/run/x.json")


@pytest.mark.parametrize(
    ("path", "size", "reason"),
    [
        ("A" * 64 + "/manifest.json", 0, "no candidate"),
        *((f"{A}/{path}", 0, "not part of a candidate") for path in STRANGE),
        *((f"{A}/{path}", HUGE, f"{HUGE} bytes are too many") for path in LARGE),
    ],
)
def test_what_is_no_candidate_or_too_large_is_skipped_and_named(store, path, size, reason):
    candidate = put(store)
    overwrite(store.uri, f"candidates/{path}", b"")
    os.truncate(f"{store.uri}/candidates/{path}", size)
    assert store.listing() == Listing((candidate,), (f"candidates/{path}: {reason}",))


def test_of_many_objects_some_are_named_and_of_very_many_some_are_listed(store, monkeypatch):
    monkeypatch.setattr(listing, "MOST_NAMED", 3)
    for number in range(10):
        overwrite(store.uri, f"candidates/{number}", b"")
    *named, rest = store.listing().skipped
    assert (len(named), rest) == (3, "7 more objects")
    monkeypatch.setattr(listing, "MOST_LISTED", 9)
    stopped = "candidates/: there are more than 9 objects; other candidates can be given by their full id"
    assert store.listing().skipped[-1] == stopped


def test_candidates_of_an_older_jukebox_are_counted_and_not_offered(store):
    for name in "AB":
        old_candidate(store.uri, name)
    told = "2 candidates of an older jukebox, which cannot be promoted"
    assert store.listing() == Listing((), (told,))


def test_a_key_that_is_no_path_ends_the_list_and_is_named(bucket, s3_environment):
    """obstore cannot list a page with such a key: what it got is shown."""
    client = boto3.client("s3", endpoint_url=s3_environment["AWS_ENDPOINT_URL"])
    key = f"{bucket.uri.removeprefix('s3://bucket/')}/candidates/{A}/a\x01"
    client.put_object(Bucket="bucket", Key=key, Body=b"x")
    (told,) = bucket.listing().skipped
    assert told.startswith("candidates/: the list ends early: Encountered object with invalid path: ")


def test_a_store_that_keeps_the_second_object_is_refused(store, monkeypatch):
    monkeypatch.setattr(store.objects, "get", lambda *_: b"second")
    with pytest.raises(PlatformError, match="ignores conditional writes"):
        store.objects.require_conditional_create()

"""What runs write below candidates/: nothing of it hides a candidate or stops a promotion."""

import os

import boto3
import pytest
from candidates import delete, overwrite, paths, put
from old_stores import old_candidate
from promotions import EVERYWHERE
from reports import POLICY

from ml.release import listing
from ml.release.promotion import promote

A = "a" * 64


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

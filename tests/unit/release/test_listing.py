"""What runs leave below candidates/: nothing of it hides a candidate, or stops the promotion of another."""

import os

import boto3
import pytest
from candidates import candidate_files, delete, overwrite, paths, put, store_run
from old_stores import old_candidate
from promotions import EVERYWHERE
from reports import POLICY

from ml.release import listing
from ml.release.promotion import promote


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("notes.txt", "no candidate"),
        ("A" * 64 + "/manifest.json", "no candidate"),
        ("a" * 64 + "/weights.bin", "not part of a candidate"),
        ("a" * 64 + "/reports/evidence.json", "not part of a candidate"),
        ("a" * 64 + "/reports/a run/evidence.json", "not part of a candidate"),
        ("a" * 64 + "/reports/run/deep/evidence.json", "not part of a candidate"),
    ],
)
def test_what_is_no_candidate_is_skipped_and_named(store, path, reason):
    candidate = put(store, policy=EVERYWHERE)
    overwrite(store.uri, f"candidates/{path}", b"{}")
    found = store.listing()
    assert found.candidates == (candidate,)
    assert found.skipped == (f"candidates/{path}: {reason}",)
    assert promote(store, store.find_candidate(candidate[:12]), EVERYWHERE).new


@pytest.mark.parametrize(
    "path", ["manifest.json", "model.onnx", "model.keras", "served.json", "reports/run/evidence.json"]
)
def test_an_object_that_is_too_large_is_skipped_and_named(folder, path):
    candidate = put(folder)
    overwrite(folder.uri, f"candidates/{'a' * 64}/{path}", b"")
    os.truncate(os.path.join(folder.uri, "candidates", "a" * 64, path), 1 << 40)
    found = folder.listing()
    assert found.candidates == (candidate,)
    assert found.skipped == (f"candidates/{'a' * 64}/{path}: {1 << 40} bytes are too many",)


def test_of_many_strange_objects_some_are_named_and_all_are_counted(folder, monkeypatch):
    monkeypatch.setattr(listing, "MOST_NAMED", 3)
    for number in range(10):
        overwrite(folder.uri, f"candidates/{number}", b"")
    skipped = folder.listing().skipped
    assert len(skipped) == 4
    assert skipped[-1] == "7 more objects"


def test_of_very_many_objects_some_are_looked_at_and_promotion_goes_on(folder, monkeypatch):
    monkeypatch.setattr(listing, "MOST_LISTED", 60)
    candidate = put(folder)
    for number in range(200):
        overwrite(folder.uri, f"candidates/{candidate}/reports/run-{number}/x.json", b"")
    (told,) = folder.listing().skipped
    assert told == "candidates/: there are more than 60 objects; other candidates can be given by their full id"
    assert promote(folder, candidate, POLICY, run="run-of-A").new


def test_candidates_of_an_older_jukebox_are_counted_and_not_offered(folder):
    candidate = put(folder)
    old = [old_candidate(folder.uri, name) for name in "AB"]
    found = folder.listing()
    assert candidate not in old
    assert found.candidates == (candidate,)
    assert found.skipped == ("2 candidates of an older jukebox, which cannot be promoted",)


def test_what_a_run_puts_beside_another_candidate_does_not_hide_it(folder):
    candidate = put(folder)
    overwrite(folder.uri, f"candidates/{candidate}/evidence.json", b"{}")
    found = folder.listing()
    assert found.candidates == (candidate,)
    assert found.skipped == (f"candidates/{candidate}/evidence.json: not part of a candidate",)


@pytest.mark.parametrize("key", ["/x", "../x", "{other}/./x", "{other}/a\x01"])
def test_a_key_that_is_no_path_ends_the_list_and_stops_no_promotion(bucket, s3_endpoint, key):
    """obstore cannot list a page with such a key: what it got is shown, and the key is named."""
    candidate = store_run(bucket, candidate_files(policy=EVERYWHERE))
    name = f"{bucket.uri.rpartition('/')[2]}/candidates/{key.format(other='f' * 64)}"
    boto3.client("s3", endpoint_url=s3_endpoint).put_object(Bucket="models", Key=name, Body=b"x")
    (told,) = bucket.listing().skipped
    assert told.startswith("candidates/: the list ends early: Encountered object with invalid path: ")
    assert "other candidates can be given by their full id" in told
    outcome = promote(bucket, bucket.find_candidate(candidate), EVERYWHERE, run="run-of-A")
    assert outcome.new
    assert len(bucket.log()) == 1


def test_a_list_of_a_store_without_candidates_is_empty(store):
    assert store.candidates() == []
    put(store)
    for path in paths(store.uri):
        if path.endswith("manifest.json"):
            delete(store.uri, path)
    assert store.candidates() == []

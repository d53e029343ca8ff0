"""Which notifications of buckets start which runs."""

import pytest
from tekton.events import deliver, event, recorded, started
from tekton.run_checks import (
    HOSTILE,
    JUNK,
    ODD,
    changed,
    clauses,
    harmless,
    needed,
    the_run,
    without_interceptor,
)
from tiers import sampled

EMPTY = "d41d8cd98f00b204e9800998ecf8427e"
S3 = recorded("s3-created")
OBJECT = "Records.0.s3.object"


@pytest.mark.parametrize(
    ("name", "etag", "key"),
    [
        ("s3-created", EMPTY, "rankings.parquet"),
        ("s3-several", EMPTY, "rankings.parquet"),
        ("minio-created", "0cc175b9c0f1b6a831c399e2697726613", "2026/rankings.parquet"),
        ("ceph-created", "900150983cd24fb0d6963f7d28e17f72", "rankings.parquet"),
    ],
)
def test_a_new_object_starts_a_run(name, etag, key):
    assert the_run(event(*recorded(name))) == (f"data-{etag}", "data", "main", f"data s3://charts/{key}")


def test_the_same_content_has_the_same_name():
    headers, body = S3
    later = changed(body, "Records.0.eventTime", "2026-11-25T10:00:00.000Z")
    later = changed(later, f"{OBJECT}.sequencer", "0055AED6DCD90281E6")
    assert the_run(event(headers, later)) == the_run(event(headers, body))
    other = changed(body, f"{OBJECT}.eTag", "f" * 32)
    assert the_run(event(headers, other))[0] == "data-" + "f" * 32


@pytest.mark.parametrize(
    "name",
    [
        "s3-test",
        "s3-removed",
        "s3-other-bucket",
        "minio-removed",
        "minio-accessed",
        "minio-other-bucket",
        "ceph-removed",
        "ceph-other-bucket",
    ],
)
def test_other_notifications_start_none(name):
    sent = event(*recorded(name))
    assert started(sent) == []
    assert deliver(sent)["data"].by == "wanted"


@pytest.mark.parametrize(
    ("prefix", "bucket", "key", "runs"),
    [
        ("s3://charts/2026/", "charts", "2026%2Frankings.parquet", 1),
        ("s3://charts/2026/", "charts", "2026/rankings.parquet", 1),
        ("s3://charts/2026/", "charts", "2025/rankings.parquet", 0),
        ("s3://charts", "charts-too", "rankings.parquet", 1),
        ("s3://charts", "charts$(x)", "rankings.parquet", 0),
        ("s3://charts/", "charts/$(x)", "rankings.parquet", 0),
    ],
)
def test_the_prefix_may_be_a_folder(prefix, bucket, key, runs):
    specs = without_interceptor("data", "none")
    specs["data"]["interceptors"][0]["params"][0]["value"][0] = {"key": "prefix", "expression": repr(prefix)}
    headers, body = recorded("minio-created")
    body = changed(changed(body, f"{OBJECT}.key", key), "Records.0.s3.bucket.name", bucket)
    assert len(started(event(headers, body), specs)) == runs


# What only one clause refuses, by how the clause begins.
REFUSED = {
    "header.canonical": ({**S3[0], "Authorization": "Bearer the-secret-of-alerts"}, S3[1]),
    "body.Records.exists": recorded("s3-removed"),
    "r.eventName.contains": recorded("s3-removed"),
    "('s3://' + r.s3.bucket.name": recorded("s3-other-bucket"),
    "extensions.object.bucket.name": (S3[0], changed(S3[1], "Records.0.s3.bucket.name", "charts/$(x)")),
    "extensions.object.object.key": (S3[0], changed(S3[1], f"{OBJECT}.key", "a b;$(x)")),
    "extensions.object.object.eTag": (S3[0], changed(S3[1], f"{OBJECT}.eTag", "$(x)")),
}


@pytest.mark.parametrize(("trigger", "interceptor", "clause", "without"), [*clauses("data")])
def test_each_clause_is_needed(trigger, interceptor, clause, without):
    (refused,) = (sent for start, sent in REFUSED.items() if clause.startswith(start))
    needed(trigger, interceptor, without, event(*refused))


@pytest.mark.parametrize("sent", ["", "Bearer", "Bearer ", "Bearer no", "the-secret-of-data", None])
def test_only_the_secret_opens(sent):
    headers = {name: value for name, value in S3[0].items() if name != "Authorization"}
    assert started(event(headers | ({} if sent is None else {"Authorization": sent}), S3[1])) == []


def test_the_scheme_of_the_secret_is_free():
    """Ceph can only send Basic, from the address's user and password."""
    assert started(event({**S3[0], "Authorization": "Basic the-secret-of-data"}, S3[1]))


FIELDS = ["eventName", "eventTime", "s3.bucket.name", "s3.object.key", "s3.object.eTag", "s3.object.size"]


@pytest.mark.parametrize("value", sampled([*HOSTILE, *ODD], every=6), ids=lambda value: repr(value)[:20])
@pytest.mark.parametrize("field", [*FIELDS, "s3.object", "s3"])
def test_nothing_hostile_comes_through(field, value):
    if (field, value) != ("s3.object.key", "../../etc/passwd"):  # a key like any other: only the cause has it
        harmless(*S3, f"Records.0.{field}", value)


@pytest.mark.parametrize("suffix", ["\n", " ", "$(x)", ";id", "\x00", '"'])
@pytest.mark.parametrize(("field", "start"), [("key", "rankings.parquet"), ("eTag", EMPTY + '"')])
def test_nothing_hangs_on(field, start, suffix):
    assert started(event(S3[0], changed(S3[1], f"{OBJECT}.{field}", start + suffix))) == []


@pytest.mark.parametrize("data", JUNK, ids=lambda data: repr(data[:10]))
def test_junk_starts_none(data):
    assert started(event(S3[0], data)) == []


@pytest.mark.parametrize("records", [None, [], {}, "Records", [None], [{}], [{"s3": {}}]])
def test_records_that_are_none(records):
    assert started(event(S3[0], {"Records": records})) == []


def test_a_storm_of_records_is_one_run():
    (record,) = S3[1]["Records"]
    assert len(started(event(S3[0], {"Records": [record] * 50}))) == 1

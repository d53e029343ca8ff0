"""Replay: what another policy would have decided on the evidence of earlier runs."""

import json
import os
from pathlib import Path

import pytest
from candidates import candidate_files, put
from reports import POLICY, edited
from servers import closed_port

from ml.core.errors import PlatformError, UsageError
from ml.gate.policy import parse_policy
from ml.release.replay import LARGEST, find_evidence, replay
from ml.storage import s3
from ml.storage.objects import put_object

STRICT = json.dumps(edited(json.loads(POLICY), {"budget.max_model_bytes": 46_765}))
LOOSE = json.dumps(edited(json.loads(POLICY), {"budget.max_model_bytes": 6_000_000}))
PASSING = candidate_files()["evidence.json"]
BLOCKED = candidate_files(broken="budget.model_bytes")["evidence.json"]
CHECK = ["budget.model_bytes"]


@pytest.mark.parametrize(
    ("data", "policy", "then", "now", "newly", "no_longer"),
    [
        (PASSING, POLICY, True, True, [], []),
        (BLOCKED, POLICY, False, False, [], []),
        (PASSING, STRICT, True, False, CHECK, []),
        (BLOCKED, LOOSE, False, True, [], CHECK),
    ],
)
def test_another_policy_decides_again_and_the_checks_that_differ_are_named(
    data, policy, then, now, newly, no_longer
):
    (found,) = replay([("a", data)], policy)
    assert (found.passed_then, found.passes_now) == (then, now)
    assert found.policy_digest == parse_policy(POLICY).digest
    shown = found.to_json()
    assert (shown["newly_blocking"], shown["no_longer_blocking"], shown["where"]) == (newly, no_longer, "a")


@pytest.mark.parametrize("data", [b"", b"{}", PASSING[:-9], PASSING.replace(b"evidence/v3", b"evidence/v1")])
def test_what_cannot_be_read_is_reported_not_left_out(data):
    (found,) = replay([("where", data)], POLICY)
    assert found.where == "where"
    assert found.problem.startswith("not evidence")


def test_the_newest_are_found_in_a_store_and_where_submit_puts_evidence(store):
    put(store)
    for name in (f"{'a' * 32}/run-1", "notes", f"{'b' * 32}/copy"):
        put_object(f"{store.uri}/evidence/{name}.json", BLOCKED)
    found = find_evidence([f"{store.uri}/candidates", f"{store.uri}/evidence"], 10)
    assert sorted(data for _, data in found) == sorted([PASSING, BLOCKED])


def test_the_newest_come_first_and_a_huge_one_is_not_read(tmp_path):
    for day, data in enumerate([bytes(LARGEST + 1), PASSING, BLOCKED], start=1):
        place = tmp_path / "evidence" / ("abc"[day % 3] * 32) / "run.json"
        place.parent.mkdir(parents=True)
        place.write_bytes(data)
        os.utime(place, (day, day))
    found = find_evidence([str(tmp_path / "evidence")], 3)
    assert [data for _, data in found] == [BLOCKED, PASSING, b""]
    assert [Path(where).read_bytes() for where, _ in found[:2]] == [BLOCKED, PASSING]
    assert find_evidence([str(tmp_path / "evidence")], 1) == found[:1]


def test_a_folder_that_is_not_there_or_cannot_be_listed_is_named(tmp_path, bucket, monkeypatch):
    with pytest.raises(UsageError, match="nowhere"):
        find_evidence([str(tmp_path / "nowhere")], 1)
    monkeypatch.setattr(s3, "RETRY", {"max_retries": 0})
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(PlatformError, match="cannot list s3://bucket/evidence"):
        find_evidence(["s3://bucket/evidence"], 1)

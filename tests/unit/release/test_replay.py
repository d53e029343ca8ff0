"""Replay: what another policy would have decided on the evidence that there is."""

import datetime
import json
import os
from pathlib import Path

import pytest
from candidates import candidate_files, put
from reports import POLICY, edited
from servers import closed_port

from ml.core.errors import PlatformError, UsageError
from ml.gate.policy import parse_policy
from ml.release.replay import find_evidence, replay
from ml.storage.objects import put_object

STRICT = json.dumps(edited(json.loads(POLICY), {"budget.max_model_bytes": 46_765}))
LOOSE = json.dumps(edited(json.loads(POLICY), {"budget.max_model_bytes": 6_000_000}))
PASSING = candidate_files()["evidence.json"]
BLOCKED = candidate_files(broken="budget.model_bytes")["evidence.json"]


def test_the_same_policy_decides_the_same():
    passing, blocked = replay([("a", PASSING), ("b", BLOCKED)], POLICY)
    assert (passing.passed_then, passing.passes_now) == (True, True)
    assert (blocked.passed_then, blocked.passes_now) == (False, False)
    assert passing.policy_digest == parse_policy(POLICY).digest
    assert not (*passing.newly_blocking, *passing.no_longer_blocking)


def test_a_stricter_policy_would_have_blocked_and_says_by_which_check():
    (found,) = replay([("a", PASSING)], STRICT)
    assert (found.passed_then, found.passes_now, found.newly_blocking) == (
        True,
        False,
        ("budget.model_bytes",),
    )


def test_a_looser_policy_would_have_let_pass_and_says_which_check():
    (found,) = replay([("b", BLOCKED)], LOOSE)
    assert (found.passed_then, found.passes_now) == (False, True)
    assert found.no_longer_blocking == ("budget.model_bytes",)


@pytest.mark.parametrize("data", [b"", b"{}", PASSING[:-9], PASSING.replace(b"evidence/v3", b"evidence/v1")])
def test_what_cannot_be_read_is_reported_not_left_out(data):
    (found,) = replay([("where", data)], POLICY)
    assert found.where == "where"
    assert found.problem.startswith("not evidence")


def test_the_newest_are_found_in_a_store_and_where_submit_puts_evidence(store):
    put(store)
    blocked = f"{store.uri}/evidence/{'a' * 32}/run-1.json"
    put_object(blocked, BLOCKED)
    put_object(f"{store.uri}/evidence/notes.json", b"{}")
    put_object(f"{store.uri}/evidence/{'b' * 32}/copy.json", BLOCKED)
    found = find_evidence([f"{store.uri}/candidates", f"{store.uri}/evidence"], 10)
    assert sorted(data for _, data in found) == sorted([PASSING, BLOCKED])
    assert len(find_evidence([f"{store.uri}/candidates", f"{store.uri}/evidence"], 1)) == 1


def test_the_newest_come_first_and_each_is_where_it_says(tmp_path):
    folder = tmp_path / "evidence"
    for day, data in enumerate([PASSING, BLOCKED], start=1):
        place = folder / ("ab"[day % 2] * 32) / "run.json"
        place.parent.mkdir(parents=True)
        place.write_bytes(data)
        os.utime(place, (day, day))
    found = find_evidence([str(folder)], 2)
    assert [data for _, data in found] == [BLOCKED, PASSING]
    assert [Path(where).read_bytes() for where, _ in found] == [BLOCKED, PASSING]
    assert find_evidence([str(folder)], 1) == found[:1]


def test_a_folder_that_cannot_be_listed_is_a_failure_of_the_platform(monkeypatch):
    monkeypatch.setattr(
        "ml.storage.s3.RETRY", {"max_retries": 0, "retry_timeout": datetime.timedelta(seconds=1)}
    )
    for name, value in {"ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "REGION": "r"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(PlatformError, match="cannot list s3://bucket/evidence"):
        find_evidence(["s3://bucket/evidence"], 1)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match="nowhere"):
        find_evidence([str(tmp_path / "nowhere")], 1)

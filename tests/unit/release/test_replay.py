"""Replay: what another policy would have decided on the evidence of earlier runs."""

import os

import pytest
from candidates import candidate_files, put
from reports import POLICY, policy_with

from ml.gate.policy import parse_policy
from ml.release.replay import LARGEST, find_evidence, replay
from ml.storage.objects import put_object

STRICT = policy_with({"budget.max_model_bytes": 46_765})
LOOSE = policy_with({"budget.max_model_bytes": 6_000_000})
PASSING = candidate_files()["evidence.json"]
BLOCKED = candidate_files(broken="budget.model_bytes")["evidence.json"]
CHECK = ("budget.model_bytes",)


@pytest.mark.parametrize(
    ("data", "policy", "verdicts", "newly", "no_longer"),
    [
        (PASSING, POLICY, (True, True), (), ()),
        (BLOCKED, POLICY, (False, False), (), ()),
        (PASSING, STRICT, (True, False), CHECK, ()),
        (BLOCKED, LOOSE, (False, True), (), CHECK),
    ],
    ids=["pass", "block", "stricter", "looser"],
)
def test_another_policy_decides_again_and_the_checks_that_differ_are_named(
    data, policy, verdicts, newly, no_longer
):
    (one,) = replay([("a", data)], policy)
    assert (one.where, one.policy_digest) == ("a", parse_policy(POLICY).digest)
    assert ((one.passed_then, one.passes_now), one.newly_blocking) == (verdicts, newly)
    assert one.to_json()["no_longer_blocking"] == list(no_longer)


def test_what_cannot_be_read_is_reported_not_left_out():
    (one,) = replay([("where", PASSING[:-9])], POLICY)
    assert (one.where, one.problem[:12]) == ("where", "not evidence")


def test_the_newest_come_first_copies_count_once_and_a_huge_one_is_not_read(tmp_path):
    huge, letters = bytes(LARGEST + 1), "abcd"
    for day, data in enumerate((huge, PASSING, BLOCKED, BLOCKED)):
        path = tmp_path / (letters[day] * 32) / "run.json"
        path.parent.mkdir()
        path.write_bytes(data)
        os.utime(path, (day, day))
    (tmp_path / "notes.json").write_bytes(b"newer")
    newest = [(f"{tmp_path}/{'d' * 32}/run.json", BLOCKED), (f"{tmp_path}/{'b' * 32}/run.json", PASSING)]
    assert find_evidence([str(tmp_path)], 2) == newest
    assert find_evidence([str(tmp_path)], 9)[2:] == [(f"{tmp_path}/{'a' * 32}/run.json", b"")]


def test_the_newest_are_found_in_a_store_and_where_submit_puts_evidence(store):
    put(store)
    put_object(f"{store.uri}/evidence/{'a' * 32}/run-1.json", BLOCKED)
    found = find_evidence([f"{store.uri}/candidates", f"{store.uri}/evidence"], 9)
    assert {data for _, data in found} == {PASSING, BLOCKED}

"""The policy of a run is left once beside its evidence, and read by its digest alone."""

import pytest
from reports import POLICY, STRICT

from ml.core.errors import EvidenceError, PlatformError
from ml.gate.evidence import policy_digest
from policies import default_text
from ml.gate.policy import parse_policy
from ml.release.policy_file import MOST, leave_policy, policy_place, read_policy

ASKED = policy_digest(POLICY)


@pytest.fixture
def evidence(tmp_path) -> str:
    return str(tmp_path / "evidence" / "0123" / "{run_id}.json")


def test_what_is_left_is_read_whatever_its_layout_was(evidence):
    leave_policy(evidence, default_text())
    assert parse_policy(read_policy(evidence, ASKED)) == parse_policy(POLICY)


def test_the_gate_finds_it_from_where_its_own_evidence_belongs(evidence):
    leave_policy(evidence, POLICY)
    assert read_policy(evidence.replace("{run_id}", "run-1"), ASKED)


@pytest.mark.parametrize(
    ("evidence_uri", "place"),
    [
        ("s3://models/evidence/0123/{run_id}.json", "s3://models/evidence/0123/policy.yaml"),
        ("/runs/one/evidence.json", "/runs/one/policy.yaml"),
    ],
)
def test_it_lies_beside_the_evidence(evidence_uri, place):
    assert policy_place(evidence_uri) == place


def test_it_may_be_left_again_and_another_in_its_place_is_refused(evidence):
    leave_policy(evidence, POLICY)
    leave_policy(evidence, POLICY)
    with pytest.raises(
        EvidenceError, match=r"^\S+/0123/policy.yaml is not the policy .*: use another --attempt$"
    ):
        leave_policy(evidence, STRICT)
    assert read_policy(evidence, ASKED)


def test_one_that_is_missing_is_said(evidence):
    with pytest.raises(
        EvidenceError, match=r"^there is no policy at \S+/0123/policy.yaml, .*: submit again$"
    ):
        read_policy(evidence, ASKED)


@pytest.mark.parametrize("data", [b"", POLICY.encode(), STRICT.encode() + b"\n"])
def test_other_bytes_are_no_policy_even_where_they_say_the_same(tmp_path, evidence, data):
    leave_policy(evidence, POLICY)
    (tmp_path / "evidence" / "0123" / "policy.yaml").write_bytes(data)
    with pytest.raises(
        EvidenceError, match=f"is not the policy of this run, {ASKED}: submit with another --attempt"
    ):
        read_policy(evidence, ASKED)


def test_a_huge_one_is_not_read(tmp_path, evidence):
    leave_policy(evidence, POLICY)
    (tmp_path / "evidence" / "0123" / "policy.yaml").write_bytes(bytes(MOST + 1))
    with pytest.raises(PlatformError, match="bytes, more than"):
        read_policy(evidence, ASKED)

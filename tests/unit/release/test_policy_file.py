"""The policy of a run is written once beside its evidence, and read by its digest alone."""

from pathlib import Path

import pytest
from policies import default_text
from reports import POLICY, STRICT

from ml.core.errors import EvidenceError, PlatformError
from ml.gate.evidence import policy_digest
from ml.gate.policy import parse_policy
from ml.release.policy_file import MOST, leave_policy, policy_place, read_policy

ASKED = policy_digest(POLICY)


@pytest.fixture
def evidence(tmp_path) -> str:
    return str(tmp_path / "evidence" / "0123" / "{run_id}.json")


def test_it_lies_beside_the_evidence():
    assert policy_place("s3://models/evidence/0123/{run_id}.json") == "s3://models/evidence/0123/policy.yaml"
    assert policy_place("/runs/one/evidence.json") == "/runs/one/policy.yaml"


def test_it_is_written_once_and_read_whatever_its_layout_was(evidence):
    with pytest.raises(
        EvidenceError, match=r"^there is no policy at \S+/0123/policy.yaml, .*: submit again$"
    ):
        read_policy(evidence, ASKED)
    for text in (default_text(), POLICY):
        leave_policy(evidence, text)
    with pytest.raises(
        EvidenceError, match=r"^\S+/0123/policy.yaml is not the policy .*: use another --attempt$"
    ):
        leave_policy(evidence, STRICT)
    assert parse_policy(read_policy(evidence.replace("{run_id}", "run-1"), ASKED)) == parse_policy(POLICY)


@pytest.mark.parametrize("data", [b"", POLICY.encode(), STRICT.encode() + b"\n"])
def test_other_bytes_are_refused_even_where_they_say_the_same(evidence, data):
    leave_policy(evidence, POLICY)
    Path(policy_place(evidence)).write_bytes(data)
    with pytest.raises(
        EvidenceError, match=f"is not the policy of this run, {ASKED}: submit with another --attempt"
    ):
        read_policy(evidence, ASKED)


def test_a_huge_one_is_not_read(evidence):
    leave_policy(evidence, POLICY)
    Path(policy_place(evidence)).write_bytes(bytes(MOST + 1))
    with pytest.raises(PlatformError, match="bytes, more than"):
        read_policy(evidence, ASKED)

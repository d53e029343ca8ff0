"""The policy of a run is written once beside its evidence, and read by its digest alone."""

from pathlib import Path

import pytest
from policies import default_text
from reports import POLICY, STRICT

from ml.core.errors import EvidenceError, PlatformError
from ml.gate.evidence import policy_digest
from ml.release.policy_file import MOST, leave_policy, read_policy

ASKED = policy_digest(POLICY)


def test_it_is_written_once_beside_the_evidence_whatever_its_layout_was(tmp_path):
    evidence, place = f"{tmp_path}/0123/{{run_id}}.json", tmp_path / "0123/policy.yaml"
    with pytest.raises(EvidenceError, match=f"^there is no policy at {place}, .*: submit again$"):
        read_policy(evidence, ASKED)
    for text in (default_text(), POLICY):
        leave_policy(evidence, text)
    with pytest.raises(EvidenceError, match=f"^{place} is not the policy .*: use another --attempt$"):
        leave_policy(evidence, STRICT)
    assert read_policy(evidence.replace("{run_id}", "run-1"), ASKED) == place.read_text()


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (POLICY.encode() + b" ", EvidenceError, f"not the policy of this run, {ASKED}: submit with another"),
        (bytes(MOST + 1), PlatformError, "bytes, more than"),
    ],
    ids=["layout", "huge"],
)
def test_other_bytes_are_refused_even_where_they_say_the_same(tmp_path, data, error, message):
    Path(tmp_path / "policy.yaml").write_bytes(data)
    with pytest.raises(error, match=message):
        read_policy(f"{tmp_path}/evidence.json", ASKED)

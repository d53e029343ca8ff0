"""The evidence of a run: what its own code measured, and the verdict of its self-check.

It is *self-reported*: the commit under test wrote every number of it, so it is shown and never believed. It
says which run, commit, data and policy it is about, and which candidate the run made. What promotion believes
is an attestation (`ml.gate.statement`).
"""

import datetime
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from ml.core.canonical import canonical_bytes, digest
from ml.core.records import Record, Text
from ml.gate.candidate import FileEntry, FileName, Manifest
from ml.gate.policy import parse_policy
from ml.gate.registry import REPORTS
from ml.gate.verdict import Verdict, decide

MODEL_NAME = r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$"
"""A model's name is a folder of the model server, and a name in Kubernetes."""

ModelName = Annotated[str, Field(pattern=MODEL_NAME)]


class Subject(Record):
    """What a verdict is about. ``champion`` is the candidate in production when the run began, or ""."""

    run_id: Text
    nonce: Text
    model_name: ModelName
    model_version: Text
    commit: Text
    dirty: bool
    image: Text
    data_version: Text
    champion: str


class Evidence(Record):
    """The document that the gate of a run writes. ``files`` are those of the candidate."""

    schema_: Literal["jukebox.evidence/v3"] = Field("jukebox.evidence/v3", alias="schema")
    kind: Literal["self-reported"] = "self-reported"
    subject: Subject
    files: dict[FileName, FileEntry]
    policy_digest: str
    decided_on: datetime.date
    reports: dict[str, Any]
    verdict: Verdict

    @property
    def candidate(self) -> str:
        """The id of the candidate that the run made."""
        return Manifest(files=self.files).id


def make_evidence(
    subject: Subject,
    manifest: Manifest,
    reports: Mapping[str, Any],
    policy_text: str,
    day: datetime.date,
) -> Evidence:
    """Decide, and say what the verdict is about.

    Args:
        subject: the run, code, data and champion.
        manifest: of the candidate.
        reports: as for `decide`.
        policy_text: the policy as YAML; one that cannot be read blocks.
        day: the day (UTC) of the decision.
    """
    kept = {name: _storable(reports.get(name)) for name in REPORTS}
    return Evidence(
        subject=subject,
        files=manifest.files,
        policy_digest=policy_digest(policy_text),
        decided_on=day,
        reports=kept,
        verdict=decide(kept, policy_text, day),
    )


def _storable(report: Any) -> Any:
    """Return the report, or why it cannot be written down: what is decided on must be what is kept."""
    try:
        canonical_bytes(report)
    except (TypeError, ValueError, RecursionError) as error:
        return {"unreadable": str(error)}
    return report


def policy_digest(policy_text: str) -> str:
    """Return the digest of what a policy says, or of its raw text where it cannot be read."""
    try:
        return parse_policy(policy_text).digest
    except ValueError:
        return digest(policy_text.encode())


def read_evidence(data: bytes) -> Evidence:
    """Read evidence from its canonical bytes.

    Raises:
        ValueError: the bytes are not evidence, or not in their canonical form.
    """
    return Evidence.from_bytes(data, "evidence")


def decide_again(evidence: Evidence, policy_text: str, day: datetime.date) -> Verdict:
    """Decide on the numbers in the evidence, under a policy, as of a day."""
    return decide(evidence.reports, policy_text, day)


def mismatches(evidence: Evidence, expected: Mapping[str, Any]) -> list[str]:
    """List in what evidence is about something else than what is expected.

    Args:
        evidence: as read by `read_evidence`.
        expected: fields of `Subject` that must be equal.
    """
    known = evidence.subject.to_json()
    return [
        f"{name} is {known.get(name)!r} in the evidence, expected {value!r}"
        for name, value in expected.items()
        if known.get(name) != value
    ]

"""The evidence: one small JSON document that says what was measured, on what, and what follows from it.

It binds a verdict to a run, a commit, an image, data, models and a policy, and holds the reports with
every raw number, so that anyone can decide again without trusting the run that wrote it.
"""

import datetime
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from ml.gate.canonical import canonical_bytes, digest, parse
from ml.gate.policy import parse_policy
from ml.gate.records import Digest, Record, Text
from ml.gate.verdict import REPORTS, Verdict, decide

MODEL_NAME = r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$"
"""A model's name is a folder of the model server, and a name in Kubernetes."""

FILES = ("model.keras", "model.onnx", "test.parquet", "profile.json", "served.json")
"""The files whose digests the evidence states."""

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
    """The document that the gate writes and that promotion verifies."""

    schema_: Literal["jukebox.evidence/v2"] = Field("jukebox.evidence/v2", alias="schema")
    subject: Subject
    digests: dict[str, Digest]
    policy_digest: str
    decided_on: datetime.date
    reports: dict[str, Any]
    verdict: Verdict

    @property
    def identity(self) -> dict[str, str]:
        """What the reports must be about, for `decide`."""
        return _identity(self.subject, self.digests)

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        return canonical_bytes(self.to_json())


def make_evidence(
    subject: Subject,
    digests: Mapping[str, str],
    reports: Mapping[str, Any],
    policy_text: str,
    day: datetime.date,
) -> Evidence:
    """Decide, and bind the verdict to its subject.

    Args:
        subject: the run, code, data and champion.
        digests: of each of `FILES`, as `digest` writes them.
        reports: as for `decide`.
        policy_text: the policy as YAML; one that cannot be read blocks.
        day: the day (UTC) of the decision.
    """
    kept = {name: _storable(reports.get(name)) for name in REPORTS}
    return Evidence(
        subject=subject,
        digests=dict(digests),
        policy_digest=policy_digest(policy_text),
        decided_on=day,
        reports=kept,
        verdict=decide(kept, policy_text, _identity(subject, digests), day),
    )


def _identity(subject: Subject, digests: Mapping[str, str]) -> dict[str, str]:
    return {**digests, "data_version": subject.data_version, "champion": subject.champion}


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
    try:
        evidence = Evidence.load(parse(data))
    except (TypeError, ValueError) as error:
        raise ValueError(f"not evidence: {error}") from error
    if evidence.to_bytes() != data:
        raise ValueError("not evidence: the bytes are not in canonical form")
    return evidence


def decide_again(evidence: Evidence, policy_text: str, day: datetime.date) -> Verdict:
    """Recompute the verdict from the raw numbers in the evidence, under a policy, as of a day."""
    return decide(evidence.reports, policy_text, evidence.identity, day)


def mismatches(evidence: Evidence, policy_text: str, expected: Mapping[str, Any]) -> list[str]:
    """List in what evidence is not what it should be: about something else, or at odds with itself.

    Empty means that it can be believed, not that it passes: that is what `decide_again` says.

    Args:
        evidence: as read by `read_evidence`.
        policy_text: *our* policy, not the run's.
        expected: fields of `Subject`, and names of files with their digests, that must be equal.
    """
    found = []
    known = {**evidence.digests, **evidence.subject.to_json()}
    for name, value in expected.items():
        if known.get(name) != value:
            found.append(f"{name} is {known.get(name)!r} in the evidence, expected {value!r}")
    found += [f"the digest of {name} is about nothing" for name in sorted(set(evidence.digests) - set(FILES))]
    if evidence.policy_digest != policy_digest(policy_text):
        found.append("the run was judged under another policy")
    elif decide_again(evidence, policy_text, evidence.decided_on) != evidence.verdict:
        found.append("the stated verdict is not what its own numbers give")
    return found

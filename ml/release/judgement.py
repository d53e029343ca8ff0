"""Judge a run by its evidence: which candidate it made, and whether that passes the self-check.

The verdict is decided again under the given policy, from the numbers that the run reports. It is shown to
people; `ml.release.basis` decides what may be promoted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ml.core.canonical import digest
from ml.core.clock import today
from ml.core.errors import EvidenceError
from ml.gate.evidence import Evidence, decide_again, mismatches, read_evidence
from ml.gate.verdict import Verdict
from ml.release.store import ModelStore


@dataclass(frozen=True)
class Judgement:
    """The evidence of a run, and its verdict under the given policy."""

    evidence: Evidence
    verdict: Verdict
    digest: str


@dataclass(frozen=True)
class Proven:
    """The candidate of a run, as it is in the store: its id, and the digest and URI of the model."""

    candidate: str
    model_digest: str
    model_uri: str


def judge(data: bytes, where: str, expected: Mapping[str, Any], policy_text: str) -> Judgement:
    """Parse evidence, check what it is about, and decide again.

    Args:
        data: the evidence.
        where: where it was read from, for messages.
        expected: the fields of `Subject` that it must have.
        policy_text: the policy that decides.

    Raises:
        EvidenceError: it is malformed, or about something else.
    """
    try:
        evidence = read_evidence(data)
    except ValueError as error:
        raise EvidenceError(f"{where}: {error}") from error
    if differences := mismatches(evidence, expected):
        raise EvidenceError(f"{where}: {'; '.join(differences)}")
    return Judgement(evidence, decide_again(evidence, policy_text, today()), digest(data))


def prove(store: ModelStore, evidence: Evidence) -> Proven:
    """Check that the candidate of the evidence is in the store, unchanged, and return it.

    Raises:
        EvidenceError: it is missing, or was changed.
        PlatformError: the store cannot be read.
    """
    files = store.read_candidate(evidence.candidate)
    model_uri = f"{store.uri}/candidates/{evidence.candidate}/model.onnx"
    return Proven(evidence.candidate, digest(files["model.onnx"]), model_uri)

"""A run judged by its evidence: which candidate it made, and whether that passes the self-check.

People see this verdict, decided again here under our policy on the run's own numbers. What may be promoted is
decided elsewhere (`ml.release.basis`).
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
    """Evidence of a run, and the verdict that follows from it under our policy."""

    evidence: Evidence
    verdict: Verdict
    digest: str


@dataclass(frozen=True)
class Proven:
    """The candidate that evidence names: its id, and digest and place of the model."""

    candidate: str
    model_digest: str
    model_uri: str


def judge(data: bytes, where: str, expected: Mapping[str, Any], policy_text: str) -> Judgement:
    """Read evidence, check what it is about, and decide again.

    Args:
        data: the evidence as found.
        where: what to call its place in messages.
        expected: fields of `Subject` that must be equal.
        policy_text: our policy.

    Raises:
        EvidenceError: it is malformed, or about something else.
    """
    try:
        evidence = read_evidence(data)
    except ValueError as error:
        raise EvidenceError(f"{where}: {error}") from error
    if found := mismatches(evidence, expected):
        raise EvidenceError(f"{where}: {'; '.join(found)}")
    return Judgement(evidence, decide_again(evidence, policy_text, today()), digest(data))


def prove(store: ModelStore, evidence: Evidence) -> Proven:
    """Check that the candidate that evidence names is in the store, byte for byte.

    Raises:
        EvidenceError: it is not there, or not what the evidence names.
        PlatformError: the store cannot be read.
    """
    files = store.read_candidate(evidence.candidate)
    model_uri = f"{store.uri}/candidates/{evidence.candidate}/model.onnx"
    return Proven(evidence.candidate, digest(files["model.onnx"]), model_uri)

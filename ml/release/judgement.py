"""Judge a run by its evidence: is it about this run, is it true to itself, and does it pass our policy?

The verdict that the run states counts for nothing but agreement: it is decided again here, from the raw
numbers, and the candidate in the store must be, byte for byte, what the evidence is about.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ml.clock import today
from ml.errors import EvidenceError
from ml.gate.canonical import digest
from ml.gate.evidence import Evidence, decide_again, mismatches, read_evidence
from ml.gate.verdict import Verdict
from ml.release.promotion import verify
from ml.release.store import ModelStore


@dataclass(frozen=True)
class Judgement:
    """Evidence that can be believed, and the verdict that follows from it under our policy."""

    evidence: Evidence
    verdict: Verdict
    digest: str


@dataclass(frozen=True)
class Proven:
    """A candidate that its evidence vouches for: its id, and digest and place of the model."""

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
        EvidenceError: it is malformed, about something else, judged under another policy, or its stated
            verdict is not what its numbers give.
    """
    try:
        evidence = read_evidence(data)
    except ValueError as error:
        raise EvidenceError(f"{where}: {error}") from error
    found = mismatches(evidence, policy_text, expected)
    if found:
        raise EvidenceError(f"{where}: {'; '.join(found)}")
    return Judgement(evidence, decide_again(evidence, policy_text, today()), digest(data))


def prove(store: ModelStore, data: bytes, policy_text: str) -> Proven:
    """Find the candidate that was stored with this evidence, and check its every byte.

    Raises:
        EvidenceError: there is none, or it is not what the evidence is about.
        GateBlocked: it does not pass.
        PlatformError: the store cannot be read.
    """
    candidate = store.find_by_evidence(data)
    files = store.read_candidate(candidate)
    verify(f"candidate {candidate[:12]}", files, policy_text)
    model_uri = f"{store.uri}/candidates/{candidate}/model.onnx"
    return Proven(candidate, digest(files["model.onnx"]), model_uri)

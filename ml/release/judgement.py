"""Judge a run by its evidence: is it about this run, is it true to itself, and does it pass our policy?

This is the self-check that people see: the verdict is decided again here from the run's own numbers. What may
be promoted is decided elsewhere (`ml.release.basis`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ml.clock import today
from ml.errors import EvidenceError
from ml.gate.candidate import CANDIDATE_FILES
from ml.gate.canonical import digest
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


def prove(store: ModelStore, data: bytes) -> Proven:
    """Find the candidate that evidence names in the store, and check its every byte.

    Raises:
        EvidenceError: it is not there, or not what the evidence names.
        PlatformError: the store cannot be read.
    """
    digests = read_evidence(data).digests
    candidate = _named(store, {name: digests.get(name, "") for name in CANDIDATE_FILES})
    files = store.read_candidate(candidate)
    model_uri = f"{store.uri}/candidates/{candidate}/model.onnx"
    return Proven(candidate, digest(files["model.onnx"]), model_uri)


def _named(store: ModelStore, digests: Mapping[str, str]) -> str:
    """Return the candidate with these digests; evidence will name it."""
    for candidate in store.candidates():
        try:
            files = store.read_candidate(candidate)
        except EvidenceError:
            continue
        if all(digest(files[name]) == expected for name, expected in digests.items()):
            return candidate
    raise EvidenceError(f"{store.uri} does not hold the candidate of this run; is it the run's --store?")

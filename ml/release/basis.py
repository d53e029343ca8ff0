"""The basis of a promotion: an attestation of the trusted side, or the report of the candidate's own run."""

import datetime
import re
from dataclasses import dataclass
from typing import Literal

from ml.core.canonical import digest
from ml.core.errors import EvidenceError, GateBlocked
from ml.gate.evidence import MODEL_NAME
from ml.gate.policy import Policy
from ml.gate.statement import Statement
from ml.gate.verdict import Verdict

CLOCKS = datetime.timedelta(minutes=5)
"""The accepted difference between the clocks of two machines."""


@dataclass(frozen=True)
class Basis:
    """Why a candidate is promoted: fields of its `Promotion`, with the same names."""

    kind: Literal["attested", "self-checked"]
    attestation: str
    evidence_digest: str
    model_name: str
    synthetic: bool
    waived: tuple[str, ...]
    commit: str
    dirty: bool


@dataclass(frozen=True)
class Production:
    """The candidate in production, and the kind of its basis; both are "" if there is none."""

    champion: str
    kind: Literal["", "attested", "self-checked"]


def attest_again(candidate: str) -> str:
    """Return the advice about an attestation that is no longer valid, for messages."""
    return f"attest it again: `jukebox judge attest {candidate[:12]}`"


def attested(
    statement: Statement,
    envelope: bytes,
    candidate: str,
    policy: Policy,
    production: Production,
    now: datetime.datetime,
) -> Basis:
    """Return the basis of a promotion on an attestation whose signature was verified.

    Args:
        statement: the content of the envelope.
        envelope: its bytes.
        candidate: the id of the candidate to promote.
        policy: the policy of this promotion.
        production: the model in production now.
        now: the time.

    Raises:
        EvidenceError: it is about another candidate, policy or champion, too old, or dated in the future.
        GateBlocked: its verdict does not pass, or uses a waiver that has expired.
    """
    measured, claimed = statement.predicate.measured, statement.predicate.claimed
    what, again = f"the attestation of candidate {candidate[:12]}", attest_again(candidate)
    require_about(statement, candidate)
    if measured.policy_digest != policy.digest:
        raise EvidenceError(
            f"{what} was decided under another policy ({measured.policy_digest[7:19]}); {again}"
        )
    require_pass(what, measured.verdict)
    if measured.champion != production.champion:
        raise EvidenceError(
            f"{what} was made when {measured.champion[:12] or 'nothing'} was in production; now it is "
            f"{production.champion[:12] or 'nothing'}; {again}"
        )
    if measured.champion_kind != production.kind:
        raise EvidenceError(
            f"{what} says that the champion is {measured.champion_kind}; the log says {production.kind}; "
            f"{again}"
        )
    if measured.at > now + CLOCKS:
        raise EvidenceError(f"{what} is dated {measured.at:%Y-%m-%d %H:%M %Z}, in the future; {again}")
    if now - measured.at > datetime.timedelta(days=policy.promotion.max_attestation_age_days):
        raise EvidenceError(
            f"{what} is of {measured.at:%Y-%m-%d}: older than the policy accepts "
            f"({policy.promotion.max_attestation_age_days} days); {again}"
        )
    if not re.fullmatch(MODEL_NAME, claimed.model_name):
        raise EvidenceError(f"{what} names the model {claimed.model_name!r}, which cannot be served; {again}")
    waived = tuple(check.name for check in measured.verdict.waived)
    valid = {waiver.check for waiver in policy.waivers if now.date() <= waiver.until}
    if expired := [name for name in waived if name not in valid]:
        raise GateBlocked(f"{what} does not pass: the waiver of {', '.join(expired)} has expired")
    return Basis(
        kind="attested",
        attestation=digest(envelope),
        evidence_digest=digest(statement.to_bytes()),
        model_name=claimed.model_name,
        synthetic=measured.holdout.synthetic,
        waived=waived,
        commit=claimed.commit,
        dirty=claimed.dirty,
    )


def require_about(statement: Statement, candidate: str) -> None:
    """Check that a statement is about a candidate.

    Raises:
        EvidenceError: it is about another one.
    """
    if statement.candidate != candidate:
        raise EvidenceError(
            f"the attestation is about candidate {statement.candidate[:12]}, not {candidate[:12]}; "
            f"{attest_again(candidate)}"
        )


def require_pass(what: str, verdict: Verdict) -> None:
    """Check that a verdict passes.

    Raises:
        GateBlocked: it does not.
    """
    failures = [f"{check.name}: {check.reason}" for check in verdict.failures]
    if failures or not verdict.passed:
        raise GateBlocked(f"{what} does not pass: {'; '.join(failures) or 'the verdict is not a pass'}")

"""What a promotion rests on: an attestation of the trusted side, or the report of the candidate's own run."""

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
"""What the clocks of two machines may differ by."""


@dataclass(frozen=True)
class Basis:
    """What the log says of why a candidate was promoted: the fields of `Promotion` by their names."""

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
    """The model in production: its candidate, and what it was promoted on ("" and "" for none)."""

    champion: str
    kind: Literal["", "attested", "self-checked"]


def attest_again(candidate: str) -> str:
    """Return what to do about an attestation that no longer holds."""
    return f"attest it again: `jukebox judge attest {candidate[:12]}`"


def attested(
    statement: Statement,
    envelope: bytes,
    candidate: str,
    policy: Policy,
    production: Production,
    now: datetime.datetime,
) -> Basis:
    """Return the basis of a promotion on an attestation, whose signature was verified.

    Args:
        statement: what the envelope holds.
        envelope: its bytes.
        candidate: what is to be promoted.
        policy: ours.
        production: what is in production now.
        now: the time.

    Raises:
        EvidenceError: it is about another candidate, policy or champion, too old, or of the future.
        GateBlocked: its verdict does not pass, or rests on a waiver that has ended.
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
            f"{what} takes the champion for {measured.champion_kind}; the log says {production.kind}; {again}"
        )
    if measured.at > now + CLOCKS:
        raise EvidenceError(f"{what} is of {measured.at:%Y-%m-%d %H:%M %Z}, which is to come; {again}")
    if now - measured.at > datetime.timedelta(days=policy.promotion.max_attestation_age_days):
        raise EvidenceError(
            f"{what} is of {measured.at:%Y-%m-%d}, and the policy accepts it for "
            f"{policy.promotion.max_attestation_age_days} days; {again}"
        )
    if not re.fullmatch(MODEL_NAME, claimed.model_name):
        raise EvidenceError(f"{what} names a model {claimed.model_name!r}, which cannot be served; {again}")
    waived = tuple(check.name for check in measured.verdict.waived)
    lasting = {waiver.check for waiver in policy.waivers if now.date() <= waiver.until}
    if ended := [name for name in waived if name not in lasting]:
        raise GateBlocked(f"{what} does not pass: the waiver of {', '.join(ended)} has ended")
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
    """Make sure that a statement's subject is a candidate: just its bytes.

    Raises:
        EvidenceError: it is another.
    """
    if statement.candidate != candidate:
        raise EvidenceError(
            f"the attestation is about candidate {statement.candidate[:12]}, not {candidate[:12]}; "
            f"{attest_again(candidate)}"
        )


def require_pass(what: str, verdict: Verdict) -> None:
    """Make sure that a verdict passes.

    Raises:
        GateBlocked: it does not.
    """
    failures = [f"{check.name}: {check.reason}" for check in verdict.failures]
    if failures or not verdict.passed:
        raise GateBlocked(f"{what} does not pass: {'; '.join(failures) or 'its verdict says so'}")

"""Verify, then append: the only way into production (`ml.release.rollback` is the way back).

A candidate is promoted on its evidence alone: every digest is computed again, the verdict is decided
again under our policy, and the champion must still be the one that the run began with.
"""

import datetime
from dataclasses import dataclass

from ml.clock import today
from ml.errors import EvidenceError, GateBlocked
from ml.gate.canonical import digest, parse
from ml.gate.evidence import Evidence, decide_again, mismatches, read_evidence
from ml.gate.verdict import REPORTS
from ml.release.actor import actor, require_line
from ml.release.store import AGAIN, ModelStore, Promotion

BOUND = ("model.keras", "model.onnx", "profile.json", "served.json")
"""The files of a candidate whose digests the evidence states."""


@dataclass(frozen=True)
class Outcome:
    """What promotion or rollback did: the entry in force, whether it is new, and where it is served.

    ``unpublished`` is the number of the newest entry that was found where it was in the log but not yet
    published, 0 where all was well.
    """

    promotion: Promotion
    new: bool
    served_at: str
    unpublished: int = 0

    @property
    def found(self) -> str:
        """What was found that had to be told, "" for nothing."""
        return interrupted(self.unpublished)


def interrupted(number: int) -> str:
    """Say that an entry was found unpublished, "" for number 0."""
    told = "was in the log but not published (an earlier promotion or rollback was interrupted)"
    return f"promotion {number} {told}" if number else ""


def champion_of(log: list[Promotion]) -> str:
    """Return the candidate in production, or "" when there is none."""
    return log[-1].candidate if log else ""


def promote(store: ModelStore, candidate: str, policy_text: str, why: str = "") -> Outcome:
    """Put a candidate into production.

    Promoting the model that is in production changes nothing and says so (``new`` is False), but publishes
    it where that was interrupted.

    Args:
        store: where the candidate is.
        candidate: its whole id.
        policy_text: our policy.
        why: what the log is to say of the reason.

    Raises:
        UsageError: who acts, or why, is not one printable line.
        EvidenceError: the candidate or its evidence was changed, or the champion has changed since.
        GateBlocked: its numbers do not pass our policy.
        PlatformError: the store cannot be read or written.
    """
    who, why = actor(), require_line("--reason", why)
    files = store.read_candidate(candidate)
    evidence = verify(f"candidate {candidate[:12]}", files, policy_text)
    log = store.log()
    missing = unpublished(store, log)
    champion = champion_of(log)
    if log and (champion == candidate or _serves(store, log[-1], files)):
        return Outcome(log[-1], new=False, served_at=store.publish(log[-1], files), unpublished=missing)
    if evidence.subject.champion != champion:
        raise EvidenceError(
            f"candidate {candidate[:12]} was made when {evidence.subject.champion[:12] or 'nothing'} was in "
            f"production; now it is {champion[:12] or 'nothing'}: run the pipeline again"
        )
    compared = evidence.reports["evaluation"]["champion"]
    if log and compared["onnx_digest"] != log[-1].model_digest:
        raise EvidenceError(
            f"candidate {candidate[:12]} was not compared with the model of champion {champion[:12]}; {AGAIN}"
        )
    drift = evidence.reports["data_report"]["drift"]
    if log and drift["profile_digest"] != store.file_digest(champion, "profile.json"):
        raise EvidenceError(
            f"candidate {candidate[:12]}: its data was not compared with champion {champion[:12]}'s; {AGAIN}"
        )
    if log and drift["measured"] and drift["measured"]["trained_on_synthetic"] != log[-1].synthetic:
        raise EvidenceError(
            f"candidate {candidate[:12]}: what it says of champion {champion[:12]}'s data, synthetic or not, "
            f"is not what the log says; {AGAIN}"
        )
    promotion = Promotion(
        number=len(log) + 1,
        action="promote",
        candidate=candidate,
        model_name=evidence.subject.model_name,
        synthetic=evidence.reports["data_report"]["synthetic"],
        model_digest=digest(files["model.onnx"]),
        evidence_digest=digest(files["evidence.json"]),
        policy_digest=evidence.policy_digest,
        champion=champion,
        replaces=restored(log, len(log)).number if log else 0,
        restores=0,
        at=now(),
        waived=tuple(check.name for check in evidence.verdict.waived),
        commit=evidence.subject.commit,
        dirty=evidence.subject.dirty,
        who=who,
        why=why,
    )
    return append(store, promotion, files, missing)


def verify(what: str, files: dict[str, bytes], policy_text: str) -> Evidence:
    """Check that a candidate's files are those that its evidence is about, and that it passes.

    Args:
        what: what the files are called in messages.
        files: as `ModelStore.read_candidate` returns them.
        policy_text: our policy.

    Raises:
        EvidenceError: the evidence is missing, malformed, or about other files.
        GateBlocked: its numbers do not pass our policy.
    """
    needed = {"evidence.json", *BOUND, *(f"{name}.json" for name in REPORTS)}
    missing = sorted(needed - files.keys())
    if missing:
        raise EvidenceError(f"{what}: {', '.join(missing)} is missing; {AGAIN}")
    try:
        evidence = read_evidence(files["evidence.json"])
        reports = {name: parse(files[f"{name}.json"]) for name in REPORTS}
    except ValueError as error:
        raise EvidenceError(f"{what}: {error}") from error
    if evidence.reports != reports:
        raise EvidenceError(f"{what}: its reports are not those in its evidence; {AGAIN}")
    found = mismatches(evidence, policy_text, {name: digest(files[name]) for name in BOUND})
    if found:
        raise EvidenceError(f"{what}: {'; '.join(found)}")
    failures = [
        f"{check.name}: {check.reason}" for check in decide_again(evidence, policy_text, today()).failures
    ]
    if failures:
        raise GateBlocked(f"{what} does not pass: {'; '.join(failures)}")
    return evidence


def _serves(store: ModelStore, promotion: Promotion, files: dict[str, bytes]) -> bool:
    """Tell whether an entry put the same model into production, to be served in the same way."""
    if promotion.model_digest != digest(files["model.onnx"]):
        return False
    return store.read_candidate(promotion.candidate).get("served.json") == files["served.json"]


def append(store: ModelStore, promotion: Promotion, files: dict[str, bytes], missing: int) -> Outcome:
    """Append an entry to the log, then publish its model.

    Args:
        store: where both are.
        promotion: the entry.
        files: of its candidate.
        missing: what `unpublished` found.

    Raises:
        EvidenceError: another entry came first.
        PlatformError: the store cannot be read or written.
    """
    if not store.append(promotion):
        winner = store.log()[-1]
        if promotion.action == "promote" and winner.candidate == promotion.candidate:
            return Outcome(winner, new=False, served_at=store.publish(winner, files))
        raise EvidenceError(
            f"another promotion or rollback came first ({store.listed}); if this model should "
            "follow it, run the pipeline again"
        )
    return Outcome(promotion, new=True, served_at=store.publish(promotion, files), unpublished=missing)


def restored(log: list[Promotion], number: int) -> Promotion:
    """Return the promotion that an entry puts in force: itself, or the one that a rollback restores."""
    entry = log[number - 1]
    while entry.action == "rollback":
        entry = log[entry.restores - 1]
    return entry


def unpublished(store: ModelStore, log: list[Promotion]) -> int:
    """Return the number of the newest entry where it was never published, 0 where it was.

    The log comes first, then the serving folder; who is interrupted between them leaves this.

    Raises:
        PlatformError: the store cannot be read.
    """
    return log[-1].number if log and not store.is_served(log[-1]) else 0


def now() -> str:
    """Return the time (UTC) as the log writes it."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""Promote a candidate: verify it, then append an entry to the log. `ml.release.rollback` is the way back.

With a trust root, a promotion needs an attestation of the trusted side about exactly these bytes and the
current champion. Without one, it needs the report of the candidate's own run, and a policy that allows that;
the log then says ``self-checked``.
"""

import datetime
from dataclasses import asdict
from typing import TYPE_CHECKING

from ml.core.canonical import digest
from ml.core.errors import EvidenceError, UsageError
from ml.gate.policy import Policy, parse_policy
from ml.gate.statement import Statement
from ml.release.actor import actor, require_line
from ml.release.basis import Basis, Production, attest_again, attested, require_about
from ml.release.log import Promotion
from ml.release.production import TIME, LogChange, append, finish, now, restored, unpublished, utc_now
from ml.release.promoted import migrate_command
from ml.release.self_checked import require_self_checked_allowed, self_checked
from ml.release.store import ModelStore

if TYPE_CHECKING:
    from ml.release.trust import Trust


def champion_of(log: list[Promotion]) -> str:
    """Return the candidate in production, "" if there is none."""
    return log[-1].candidate if log else ""


def production_of(log: list[Promotion]) -> Production:
    """Return the candidate in production and the kind of its basis."""
    return Production(log[-1].candidate, log[-1].promoted_as) if log else Production("", "")


def promote(
    store: ModelStore,
    candidate: str,
    policy_text: str,
    *,
    attestation: bytes | None = None,
    trust: "Trust | None" = None,
    run: str = "",
    why: str = "",
) -> LogChange:
    """Put a candidate into production.

    If the candidate is in production already, or its attestation made the entry in force, no entry is
    appended (``new`` is False); the model is published if that was interrupted.

    Args:
        store: the store that has the candidate.
        candidate: its full id.
        policy_text: the policy that decides.
        attestation: the envelope of the trusted side.
        trust: who may have signed it; None promotes on the report of the candidate's run.
        run: the run whose report counts; "" is the newest run.
        why: the reason, for the log.

    Raises:
        UsageError: the actor or the reason is not one printable line; or the store takes attested models
        only. EvidenceError: the attestation or report is missing, about something else, or no longer valid;
        or the
            log or the candidate was changed.
        GateBlocked: the measured numbers do not pass the policy.
        PlatformError: the store cannot be read or written, or does not support conditional create.
    """
    who, why = actor(), require_line("--reason", why)
    policy = _policy(policy_text)
    statement = _verified(candidate, attestation, trust)
    log = store.log()
    production, missing = production_of(log), unpublished(store, log)
    if log and not store.is_promoted(production.champion):
        raise EvidenceError(
            f"{store.uri}: promotion {log[-1].number} was made by an older jukebox, and its model is not in "
            f"promoted/; {migrate_command(store.uri)} copies it"
        )
    if statement and attestation:
        made = _made_by(log, digest(attestation), digest(statement.to_bytes()))
        if made:
            return _completed(store, log, made, missing)
    upgraded = statement is not None and production.kind == "self-checked"
    if candidate == production.champion and not upgraded:
        return finish(store, log, new=False, missing=missing)
    files = store.read_candidate(candidate)
    if statement and attestation:
        basis = attested(statement, attestation, candidate, policy, production, utc_now())
        if log and basis.model_name != log[-1].model_name:
            raise EvidenceError(
                f"candidate {candidate[:12]} was submitted as model {basis.model_name}, and {store.uri} "
                f"serves {log[-1].model_name}: submit it with --model-name {log[-1].model_name}, or name a "
                "store of its own with --store"
            )
        _require_after_rollback(statement, log)
    elif trust is not None:
        raise EvidenceError(
            f"candidate {candidate[:12]} has no attestation: make one with `jukebox judge attest "
            f"{candidate[:12]}`, and name it with --attestation"
        )
    else:
        require_self_checked_allowed(store.uri, policy)
        reports = store.read_reports(candidate, run)
        basis = self_checked(candidate, reports, policy_text, production)
    if not (log and log[-1].is_current):
        store.objects.require_conditional_create()
    store.put_promoted(candidate, files, attestation)
    entry = _entry(log, candidate, digest(files["model.onnx"]), basis, policy, who, why)
    return append(store, log, entry, missing)


def _policy(text: str) -> Policy:
    try:
        return parse_policy(text)
    except ValueError as error:
        raise UsageError(
            f"the policy cannot be used: {error}; `jukebox policy default` prints a whole one"
        ) from error


def _verified(candidate: str, attestation: bytes | None, trust: "Trust | None") -> Statement | None:
    """Return the verified statement of an attestation about a candidate, None without an attestation."""
    if attestation is None:
        return None
    if trust is None:
        raise UsageError("--attestation needs --trust FILE: the public keys that may have signed it")
    from ml.release.signing import verify_envelope

    statement = verify_envelope(attestation, trust)
    require_about(statement, candidate)
    return statement


def _require_after_rollback(statement: Statement, log: list[Promotion]) -> None:
    """Check that an attestation was made after the rollback in force, if there is one.

    A rollback makes an earlier model the champion again. Attestations from the time of that champion name it,
    also an attestation of the model that was just taken out of production.

    Raises:
        EvidenceError: it was made before the rollback.
    """
    if not log or log[-1].action != "rollback":
        return
    if f"{statement.predicate.measured.at.astimezone(datetime.UTC):{TIME}}" < log[-1].at:
        raise EvidenceError(
            f"the attestation of candidate {statement.candidate[:12]} was made before rollback "
            f"{log[-1].number} of the log; {attest_again(statement.candidate)}"
        )


def _made_by(log: list[Promotion], envelope: str, statement: str) -> Promotion | None:
    """Return the promotion that an attestation has made, also if its statement was signed again since."""
    return next(
        (
            entry
            for entry in log
            if entry.action == "promote"
            and entry.kind == "attested"
            and (entry.attestation == envelope or entry.evidence_digest == statement)
        ),
        None,
    )


def _completed(store: ModelStore, log: list[Promotion], made: Promotion, missing: int) -> LogChange:
    """Publish the promotion that an attestation has made, if it is still in force."""
    if restored(log, len(log)).number != made.number:
        raise EvidenceError(
            f"this attestation has already made promotion {made.number}, which is no longer in force: "
            f"restore it with `jukebox rollback --to {made.number}`, or {attest_again(made.candidate)}"
        )
    return finish(store, log, new=False, missing=missing)


def _entry(
    log: list[Promotion], candidate: str, model: str, basis: Basis, policy: Policy, who: str, why: str
) -> Promotion:
    return Promotion(
        number=len(log) + 1,
        action="promote",
        candidate=candidate,
        model_digest=model,
        policy_digest=policy.digest,
        champion=champion_of(log),
        replaces=restored(log, len(log)).number if log else 0,
        restores=0,
        at=now(),
        who=who,
        why=why,
        previous=log[-1].digest if log else "",
        **asdict(basis),
    )

"""The way back: an earlier promotion is put in force again, as a new entry of the log."""

from dataclasses import dataclass, field

from ml.errors import EvidenceError, UsageError
from ml.gate.canonical import digest
from ml.gate.evidence import read_evidence
from ml.release.actor import actor, require_line
from ml.release.promotion import Outcome, append, interrupted, now, restored, unpublished
from ml.release.store import ModelStore, Promotion


@dataclass(frozen=True)
class Plan:
    """What a rollback is going to do: append an entry like ``entry``, or only publish it again.

    Args:
        present: the newest entry of the log.
        target: the promotion that is to be in force.
        entry: what is in the log afterwards as the newest; ``present`` where nothing is appended.
        unpublished: as in `Outcome`.
        files: of the candidate that is to be served.
    """

    present: Promotion
    target: Promotion
    entry: Promotion
    unpublished: int
    files: dict[str, bytes] = field(repr=False)

    @property
    def new(self) -> bool:
        """Whether an entry is appended."""
        return self.entry is not self.present


def plan_rollback(store: ModelStore, to: int | None = None, why: str = "") -> Plan:
    """Find out what a rollback would do, and that nothing forbids it; nothing is changed.

    A rollback that was interrupted before its model was published is to be finished, not repeated. A
    promotion that was interrupted so is passed over.

    Args:
        store: where the log is.
        to: the number of the promotion to go back to; that of a rollback means what it restored. None is
            the promotion that the present one replaced.
        why: what the log is to say of the reason.

    Raises:
        UsageError: there is no such promotion; or who acts, or why, is not one printable line.
        EvidenceError: there is nothing to go back to, or its bytes have changed.
        PlatformError: the store cannot be read.
    """
    who, why = actor(), require_line("--reason", why)
    log = store.log()
    if to is not None and not 1 <= to <= len(log):
        raise UsageError(f"--to {to}: {store.uri} has no promotion {to}; {store.listed}")
    if not log:
        raise EvidenceError(
            f"{store.uri}: there is no earlier model to go back to: nothing was ever promoted; {store.listed}"
        )
    present, missing = log[-1], unpublished(store, log)
    in_force = restored(log, present.number)
    if to is not None:
        target = restored(log, to)
    elif missing and present.action == "rollback":
        target = in_force
    elif in_force.replaces:
        target = restored(log, in_force.replaces)
    else:
        found = f"{interrupted(missing)}, and " if missing else ""
        remedy = store.listed
        if missing:
            remedy = f"`jukebox promote {present.candidate[:12]}` publishes it"
        elif len(log) > 1:
            remedy += ", `jukebox rollback --to N` restores promotion N"
        raise EvidenceError(f"{store.uri}: {found}there is no earlier model to go back to; {remedy}")
    if target.number == in_force.number:
        return Plan(present, target, present, missing, _files_of(store, present))
    files = _files_of(store, target)
    subject = read_evidence(files["evidence.json"]).subject
    entry = target.model_copy(
        update={
            "schema_": Promotion.model_fields["schema_"].default,
            "number": present.number + 1,
            "action": "rollback",
            "champion": present.candidate,
            "restores": target.number,
            "at": now(),
            "commit": subject.commit,
            "dirty": subject.dirty,
            "who": who,
            "why": why,
        }
    )
    return Plan(present, target, entry, missing, files)


def rollback(store: ModelStore, to: int | None = None, why: str = "") -> Outcome:
    """Put an earlier model back into production, as `plan_rollback` plans it.

    Going back to the promotion that is in force changes nothing and says so (``new`` is False).

    Raises:
        UsageError, EvidenceError, PlatformError: as `plan_rollback`; or the store cannot be written.
    """
    plan = plan_rollback(store, to, why)
    if plan.new:
        return append(store, plan.entry, plan.files, plan.unpublished)
    served_at = store.publish(plan.present, plan.files)
    return Outcome(plan.present, new=False, served_at=served_at, unpublished=plan.unpublished)


def _files_of(store: ModelStore, promotion: Promotion) -> dict[str, bytes]:
    """Return the files of an entry's candidate, if candidate and evidence bear the entry out."""
    files = store.read_candidate(promotion.candidate)
    stated = digest(files["model.onnx"]), digest(files["evidence.json"])
    passed = read_evidence(files["evidence.json"]).verdict.passed
    if stated != (promotion.model_digest, promotion.evidence_digest) or not passed:
        short = promotion.candidate[:12]
        raise EvidenceError(
            f"{store.uri}: promotion {promotion.number} is not about candidate {short}; {store.listed}"
        )
    return files

"""The way back: an earlier promotion is put in force again, as a new entry of the log."""

from dataclasses import dataclass

from ml.core.errors import EvidenceError, UsageError
from ml.release.actor import actor, require_line
from ml.release.log import CURRENT, Promotion
from ml.release.production import LogChange, append, files_of, finish, interrupted, now, restored, unpublished
from ml.release.store import ModelStore


@dataclass(frozen=True)
class Plan:
    """What a rollback is going to do: append an entry like ``entry``, or only publish it again.

    Args:
        present: the newest entry of the log.
        target: the promotion that is to be in force.
        entry: what is in the log afterwards as the newest; ``present`` where nothing is appended.
        unpublished: as in `LogChange`.
        log: as it was read.
        checked: as in `LogChange`.
    """

    present: Promotion
    target: Promotion
    entry: Promotion
    unpublished: int
    log: list[Promotion]
    checked: str

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
    # The model must be there, and what the entry says, before anything is appended.
    files_of(store, target)
    checked = store.head_state()
    if target.number == in_force.number:
        return Plan(present, target, present, missing, log, checked)
    entry = target.model_copy(
        update={
            "schema_": CURRENT,
            "number": present.number + 1,
            "action": "rollback",
            "champion": present.candidate,
            "restores": target.number,
            "at": now(),
            "who": who,
            "why": why,
            "previous": present.digest,
            "kind": target.promoted_as,
        }
    )
    return Plan(present, target, entry, missing, log, checked)


def rollback(store: ModelStore, to: int | None = None, why: str = "") -> LogChange:
    """Put an earlier model back into production, as `plan_rollback` plans it.

    Going back to the promotion that is in force changes nothing and says so (``new`` is False).

    Raises:
        UsageError, EvidenceError, PlatformError: as `plan_rollback`; or the store cannot be written.
    """
    plan = plan_rollback(store, to, why)
    if plan.new:
        if not plan.present.is_current:
            store.objects.require_conditional_create()
        return append(store, plan.log, plan.entry, plan.unpublished)
    return finish(store, plan.log, new=False, missing=plan.unpublished)

"""Roll back: put an earlier promotion in force again, by a new entry of the log."""

from dataclasses import dataclass

from ml.core.errors import EvidenceError, UsageError
from ml.release.actor import actor, require_line
from ml.release.log import CURRENT, Promotion
from ml.release.production import LogChange, append, files_of, finish, interrupted, now, restored, unpublished
from ml.release.store import ModelStore


@dataclass(frozen=True)
class Plan:
    """What a rollback will do: append ``entry``, or only publish the present entry again.

    Args:
        present: the newest entry of the log.
        target: the promotion that will be in force.
        entry: the newest entry afterwards; ``present`` if nothing is appended.
        unpublished: as in `LogChange`.
        log: the log that the plan is based on.
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
    """Return what a rollback would do, after checking that it is possible; nothing is changed.

    A rollback that was interrupted before its model was published is completed, not repeated. A promotion
    that was interrupted in this way is skipped.

    Args:
        store: the store.
        to: the number of the promotion to restore; the number of a rollback stands for what it restored. None
            is the promotion before the present one.
        why: the reason, for the log.

    Raises:
        UsageError: there is no such promotion; or the actor or the reason is not one printable line.
        EvidenceError: there is no earlier model, or it was changed.
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
        before = f"{interrupted(missing)}, and " if missing else ""
        remedy = store.listed
        if missing:
            remedy = f"`jukebox promote {present.candidate[:12]}` publishes it"
        elif len(log) > 1:
            remedy += ", `jukebox rollback --to N` restores promotion N"
        raise EvidenceError(f"{store.uri}: {before}there is no earlier model to go back to; {remedy}")
    # Before an entry is appended, the model must be there and match its entry.
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
    """Put an earlier model back into production, as `plan_rollback` says.

    If that promotion is in force already, no entry is appended (``new`` is False).

    Raises:
        UsageError, EvidenceError, PlatformError: as `plan_rollback`; or the store cannot be written.
    """
    plan = plan_rollback(store, to, why)
    if plan.new:
        if not plan.present.is_current:
            store.objects.require_conditional_create()
        return append(store, plan.log, plan.entry, plan.unpublished)
    return finish(store, plan.log, new=False, missing=plan.unpublished)

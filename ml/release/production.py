"""Change what is in production: append to the log, publish the model, store the head of the log.

They are written in this order. The next promotion or rollback completes what an interruption has left undone.
"""

import datetime
from dataclasses import dataclass

from ml.core.canonical import digest
from ml.core.errors import EvidenceError
from ml.release.basis import attest_again
from ml.release.head import Head
from ml.release.log import Promotion
from ml.release.store import ModelStore

TIME = "%Y-%m-%dT%H:%M:%SZ"
"""The format of a time (UTC) in the log; the order of such texts is the order of the times."""


@dataclass(frozen=True)
class LogChange:
    """The result of a promotion or rollback: the entry in force, whether it is new, and where it is served.

    ``unpublished`` is the number of an earlier entry that was in the log but had not been published, 0 if
    there was none. ``head`` is the new head of the log; ``checked`` says against which head the log was
    checked.
    """

    promotion: Promotion
    new: bool
    served_at: str
    head: Head
    checked: str
    unpublished: int = 0

    @property
    def found(self) -> str:
        """What the user has to know about an earlier interruption, "" if there was none."""
        return interrupted(self.unpublished)


def interrupted(number: int) -> str:
    """Return a message about an entry that had not been published, "" for number 0."""
    state = "was in the log but not published (an earlier promotion or rollback was interrupted)"
    return f"promotion {number} {state}" if number else ""


def append(store: ModelStore, log: list[Promotion], entry: Promotion, missing: int) -> LogChange:
    """Append an entry to the log, then publish its model.

    Args:
        store: the store; the model of the entry is in promoted/.
        log: the log that the decision was based on.
        entry: the entry to append.
        missing: the result of `unpublished`.

    Raises:
        EvidenceError: another entry was appended first.
        PlatformError: the store cannot be read or written.
    """
    if not store.append(entry):
        log = store.log()
        winner = log[entry.number - 1]
        same = (winner.action, winner.candidate, winner.kind) == (entry.action, entry.candidate, entry.kind)
        if entry.action == "promote" and same:
            return finish(store, log, new=False, missing=0)
        again = attest_again(entry.candidate) if entry.kind == "attested" else "run the pipeline again"
        if entry.action == "rollback":
            again = "go back to it by its number: `jukebox rollback --to N`"
        raise EvidenceError(
            f"another promotion or rollback was faster ({store.listed}); to put this model after it, {again}"
        )
    return finish(store, [*log, entry], new=True, missing=missing)


def finish(store: ModelStore, log: list[Promotion], *, new: bool, missing: int) -> LogChange:
    """Publish the model of the newest entry, and store the head of the log.

    Args:
        store: the store; the model is in promoted/.
        log: the log, whose newest entry is in force.
        new: whether that entry was appended just now.
        missing: the result of `unpublished` before that.

    Raises:
        EvidenceError: the promoted model was changed.
        PlatformError: the store cannot be read or written, or the head cannot be stored.
    """
    entry = log[-1]
    served_at = store.publish(entry, files_of(store, entry))
    checked = store.head_state()
    return LogChange(entry, new, served_at, store.keep_head(log), checked, missing)


def files_of(store: ModelStore, entry: Promotion) -> dict[str, bytes]:
    """Return the files of an entry's model from promoted/, where runs cannot write.

    Raises:
        EvidenceError: they are missing, or not those of the entry.
        PlatformError: the store cannot be read.
    """
    files = store.read_promoted(entry.candidate)
    if digest(files["model.onnx"]) != entry.model_digest:
        raise EvidenceError(
            f"{store.uri}: promotion {entry.number} does not name the model of candidate "
            f"{entry.candidate[:12]}; "
            f"{store.listed}"
        )
    return files


def restored(log: list[Promotion], number: int) -> Promotion:
    """Return the promotion that an entry puts in force: the entry, or the one that a rollback restores."""
    entry = log[number - 1]
    while entry.action == "rollback":
        entry = log[entry.restores - 1]
    return entry


def unpublished(store: ModelStore, log: list[Promotion]) -> int:
    """Return the number of the newest entry if its model is not published, else 0.

    An interruption after the entry was appended leaves it so.

    Raises:
        PlatformError: the store cannot be read.
    """
    return log[-1].number if log and not store.is_served(log[-1]) else 0


def now() -> str:
    """Return the time (UTC) in the format of the log."""
    return f"{utc_now():{TIME}}"


def utc_now() -> datetime.datetime:
    """Return the time (UTC)."""
    return datetime.datetime.now(datetime.UTC)

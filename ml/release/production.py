"""What is in production: appending to the log, publishing what it says, and keeping its head.

The log comes first, then the serving folder, then the head; whoever is interrupted between them leaves what
the next promotion or rollback completes.
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
"""A time (UTC) in the log; as text, times have their order."""


@dataclass(frozen=True)
class LogChange:
    """What promotion or rollback did: the entry in force, whether it is new, and where it is served.

    ``unpublished`` is the number of the newest entry that was found where it was in the log but not yet
    published, 0 where all was well. ``head`` is the log's, and ``checked`` says against which it was checked.
    """

    promotion: Promotion
    new: bool
    served_at: str
    head: Head
    checked: str
    unpublished: int = 0

    @property
    def found(self) -> str:
        """What was found that had to be told, "" for nothing."""
        return interrupted(self.unpublished)


def interrupted(number: int) -> str:
    """Say that an entry was found unpublished, "" for number 0."""
    told = "was in the log but not published (an earlier promotion or rollback was interrupted)"
    return f"promotion {number} {told}" if number else ""


def append(store: ModelStore, log: list[Promotion], entry: Promotion, missing: int) -> LogChange:
    """Append an entry to the log, then publish its model.

    Args:
        store: where both are; the model is promoted.
        log: as it was when the entry was decided on.
        entry: what to append.
        missing: what `unpublished` found.

    Raises:
        EvidenceError: another entry came first.
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
            f"another promotion or rollback came first ({store.listed}); if this model should follow it, "
            f"{again}"
        )
    return finish(store, [*log, entry], new=True, missing=missing)


def finish(store: ModelStore, log: list[Promotion], *, new: bool, missing: int) -> LogChange:
    """Publish the newest entry's model, and keep the head of the log.

    Args:
        store: where the model is promoted.
        log: its newest entry is in force.
        new: whether that entry was made just now.
        missing: what `unpublished` found before.

    Raises:
        EvidenceError: the promoted model was changed.
        PlatformError: the store cannot be read or written, or the head cannot be kept.
    """
    entry = log[-1]
    served_at = store.publish(entry, files_of(store, entry))
    checked = store.head_state()
    return LogChange(entry, new, served_at, store.keep_head(log), checked, missing)


def files_of(store: ModelStore, entry: Promotion) -> dict[str, bytes]:
    """Return the files of an entry's model, from where runs cannot write.

    Raises:
        EvidenceError: they are not there, or not those of the entry.
        PlatformError: the store cannot be read.
    """
    files = store.read_promoted(entry.candidate)
    if digest(files["model.onnx"]) != entry.model_digest:
        raise EvidenceError(
            f"{store.uri}: promotion {entry.number} is not about candidate {entry.candidate[:12]}; "
            f"{store.listed}"
        )
    return files


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
    return f"{utc_now():{TIME}}"


def utc_now() -> datetime.datetime:
    """Return the time (UTC)."""
    return datetime.datetime.now(datetime.UTC)

"""Migrate a store: copy the models of its log to promoted/, where runs cannot write.

Entries and ids do not change. Nothing is deleted or overwritten, so a migration that was interrupted can be
repeated.
"""

from dataclasses import dataclass
from typing import Any, Literal

from ml.core.canonical import digest
from ml.core.errors import EvidenceError
from ml.release.log import Promotion
from ml.release.promoted import put_promoted, read_promoted, read_whole
from ml.release.store import ModelStore


@dataclass(frozen=True)
class Brought:
    """The result for one candidate of the log; ``why`` says why it could not be copied."""

    candidate: str
    numbers: tuple[int, ...]
    state: Literal["copied", "to copy", "there", "lost"]
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON."""
        return {**vars(self), "numbers": list(self.numbers)}


def migrate(store: ModelStore, *, dry_run: bool = False) -> list[Brought]:
    """Copy every candidate of the log to promoted/, and return a result for each, oldest first.

    Args:
        store: a store of this version or an earlier one.
        dry_run: copy nothing.

    Raises:
        EvidenceError: the log is damaged, or promoted/ has other bytes.
        PlatformError: the store cannot be read or written.
    """
    entries: dict[str, list[Promotion]] = {}
    for entry in store.log():
        entries.setdefault(entry.candidate, []).append(entry)
    return [_bring(store, candidate, of, dry_run=dry_run) for candidate, of in entries.items()]


def _bring(store: ModelStore, candidate: str, entries: list[Promotion], *, dry_run: bool) -> Brought:
    numbers = tuple(entry.number for entry in entries)
    if store.is_promoted(candidate):
        try:
            read_promoted(store.objects, candidate)
        except EvidenceError as error:
            return Brought(candidate, numbers, "lost", str(error))
        return Brought(candidate, numbers, "there")
    try:
        files, manifest = read_whole(store.objects, f"candidates/{candidate}", candidate)
    except EvidenceError as error:
        return Brought(candidate, numbers, "lost", str(error))
    if {entry.model_digest for entry in entries} != {digest(files["model.onnx"])}:
        return Brought(candidate, numbers, "lost", "its model has another digest than the log says")
    if dry_run:
        return Brought(candidate, numbers, "to copy")
    put_promoted(store.objects, candidate, files, manifest, None)
    return Brought(candidate, numbers, "copied")

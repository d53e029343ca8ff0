"""List the candidates of a store, and the objects below candidates/ that do not belong to one."""

from dataclasses import dataclass

from ml.gate.candidate import CANDIDATE_FILES
from ml.release.candidates import (
    ID,
    LARGEST_FILE,
    LARGEST_MANIFEST,
    LARGEST_REPORT,
    MANIFEST,
    MOST_LISTED,
    REPORT,
    RUN,
)
from ml.release.objects import Objects
from ml.release.promoted import LARGEST_MANIFEST as LARGEST_OLD_MANIFEST

MOST_NAMED = 20
"""Skipped objects that are named; others are only counted."""


@dataclass(frozen=True)
class Listing:
    """The candidates, newest first, and one line for each object that was skipped."""

    candidates: tuple[str, ...]
    skipped: tuple[str, ...]


def list_candidates(objects: Objects) -> Listing:
    """List the candidates, newest first, and the objects that were skipped.

    Raises:
        PlatformError: the store cannot be listed.
    """
    listed = objects.listed("candidates", MOST_LISTED)
    whole, strange, older = [], [], set()
    for entry in listed.entries:
        parts = entry["path"].split("/")
        candidate, rest = parts[1], parts[2:]
        if not ID.fullmatch(candidate):
            strange.append((candidate, f"{entry['path']}: no candidate"))
        elif rest == [MANIFEST] and entry["size"] <= LARGEST_MANIFEST:
            whole.append((entry["last_modified"], candidate))
        elif rest == [MANIFEST] and entry["size"] <= LARGEST_OLD_MANIFEST:
            older.add(candidate)
        elif reason := _strange(rest, entry["size"]):
            strange.append((candidate, f"{entry['path']}: {reason}"))
    skipped = [line for candidate, line in strange if candidate not in older]
    if len(skipped) > MOST_NAMED:
        skipped[MOST_NAMED:] = [f"{len(skipped) - MOST_NAMED} more objects"]
    if older:
        skipped.append(f"{len(older)} candidates of an older jukebox, which cannot be promoted")
    if listed.stopped:
        skipped.append(f"candidates/: {listed.stopped}; other candidates can be given by their full id")
    return Listing(tuple(name for _, name in sorted(whole, reverse=True)), tuple(skipped))


def _strange(rest: list[str], size: int) -> str:
    """Return what is wrong with an object of a candidate, "" if nothing is."""
    if len(rest) == 1 and rest[0] in {MANIFEST, *CANDIDATE_FILES}:
        return f"{size} bytes are too many" if size > LARGEST_FILE or rest[0] == MANIFEST else ""
    if len(rest) == 3 and rest[0] == "reports" and RUN.fullmatch(rest[1]) and REPORT.fullmatch(rest[2]):
        return f"{size} bytes are too many" if size > LARGEST_REPORT else ""
    return "not part of a candidate"

"""What lies below candidates/: the candidates, and everything else, which is skipped and named."""

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

MOST_NAMED = 20
"""Objects that are named as skipped; more are counted."""


@dataclass(frozen=True)
class Listing:
    """Candidates, newest first, and what was skipped: one line each."""

    candidates: tuple[str, ...]
    skipped: tuple[str, ...]


def list_candidates(objects: Objects) -> Listing:
    """List the candidates, newest first, and what else lies below candidates/.

    Raises:
        PlatformError: the store cannot be listed.
    """
    found = objects.listed("candidates", MOST_LISTED)
    whole, skipped, older = [], [], set()
    for entry in found.entries:
        parts = entry["path"].split("/")
        candidate, rest = parts[1], parts[2:]
        if not ID.fullmatch(candidate):
            skipped.append(f"{entry['path']}: no candidate")
        elif rest == ["evidence.json"]:
            older.add(candidate)
        elif rest == [MANIFEST] and entry["size"] <= LARGEST_MANIFEST:
            whole.append((entry["last_modified"], candidate))
        elif reason := _strange(rest, entry["size"]):
            skipped.append(f"{entry['path']}: {reason}")
    candidates = tuple(name for _, name in sorted(whole, reverse=True) if name not in older)
    if len(skipped) > MOST_NAMED:
        skipped[MOST_NAMED:] = [f"{len(skipped) - MOST_NAMED} more objects"]
    if older:
        skipped.append(f"{len(older)} candidates of an older jukebox, which cannot be promoted")
    if found.stopped:
        skipped.append(f"candidates/: {found.stopped}; a candidate is still found by its whole id")
    return Listing(candidates, tuple(skipped))


def _strange(rest: list[str], size: int) -> str:
    """Say what is wrong with an object of a candidate, "" where nothing is."""
    if len(rest) == 1 and rest[0] in {MANIFEST, *CANDIDATE_FILES}:
        return f"{size} bytes are too many" if size > LARGEST_FILE or rest[0] == MANIFEST else ""
    if len(rest) == 3 and rest[0] == "reports" and RUN.fullmatch(rest[1]) and REPORT.fullmatch(rest[2]):
        return f"{size} bytes are too many" if size > LARGEST_REPORT else ""
    return "not part of a candidate"

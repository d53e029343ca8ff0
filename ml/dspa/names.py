"""The names of runs: what a person recognises first, what a run is looked up by last.

"jukebox 3f2a91c0 push to main 0123456789ab-0123456789abcdef0123" is model, commit, cause, the attempt's key,
and a digest of what the run is about.
"""

import hashlib
import re

LONGEST = 128
"""Characters that the API server takes; of a longer name it starts a workflow, and answers with an error."""

TAIL = re.compile(r"(?:.* )?([0-9a-f]{12})-([0-9a-f]{20})")


def key_of(attempt: str) -> str:
    """Return what the names of all runs of an attempt hold, and those of no other."""
    return hashlib.sha256(attempt.encode()).hexdigest()[:12]


def key_in(name: str) -> str:
    """Return the key of the attempt in a run's name, "" where the name is not ours."""
    found = TAIL.fullmatch(name)
    return found[1] if found else ""


def same_run(one: str, other: str) -> bool:
    """Whether two names are of the same run: a retry may be started for another cause."""
    found = TAIL.fullmatch(one), TAIL.fullmatch(other)
    return bool(found[0] and found[1] and found[0].groups() == found[1].groups())


def run_name(model: str, commit: str, cause: str, attempt: str, about: str) -> str:
    """Name a run.

    Args:
        model: the model's name.
        commit: the commit, in full.
        cause: why the run is started, in a line; cut where it is long.
        attempt: the caller's key.
        about: a digest of what the run is about, hexadecimal.
    """
    tail = f"{key_of(attempt)}-{about[:20]}"
    # The server unescapes filters twice, and its database may know no emoji.
    told = "".join(c if c.isascii() and c.isprintable() and c not in "+%" else "?" for c in cause)
    head = " ".join(f"{model} {commit[:8]} {told}".split())
    return f"{head[: LONGEST - len(tail) - 1].rstrip()} {tail}"

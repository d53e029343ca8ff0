"""The names of runs: model, commit, cause, the key of the attempt, and a digest of what is submitted.

An example: "jukebox 3f2a91c0 push to main 0123456789ab-0123456789abcdef0123". A run is looked up by its end.
"""

import hashlib
import re

LONGEST = 128
"""Most characters of a name. For a longer one the API server starts a workflow and returns an error."""

TAIL = re.compile(r"(?:.* )?([0-9a-f]{12})-([0-9a-f]{20})")


def key_of(attempt: str) -> str:
    """Return the part of a run's name that identifies its attempt."""
    return hashlib.sha256(attempt.encode()).hexdigest()[:12]


def key_in(name: str) -> str:
    """Return the key of the attempt in a run's name, "" if jukebox did not make the name."""
    tail = TAIL.fullmatch(name)
    return tail[1] if tail else ""


def same_run(one: str, other: str) -> bool:
    """Return whether two names are of the same run; the cause may differ, as a retry can have another."""
    tails = TAIL.fullmatch(one), TAIL.fullmatch(other)
    return bool(tails[0] and tails[1] and tails[0].groups() == tails[1].groups())


def run_name(model: str, commit: str, cause: str, attempt: str, about: str) -> str:
    """Return the name of a run.

    Args:
        model: the model's name.
        commit: the commit, in full.
        cause: why the run is started, in one line; a long one is truncated.
        attempt: the caller's key.
        about: the hexadecimal digest of what is submitted.
    """
    tail = f"{key_of(attempt)}-{about[:20]}"
    # The server unescapes filters twice, and its database may not store emoji.
    ascii_cause = "".join(c if c.isascii() and c.isprintable() and c not in "+%" else "?" for c in cause)
    head = " ".join(f"{model} {commit[:8]} {ascii_cause}".split())
    return f"{head[: LONGEST - len(tail) - 1].rstrip()} {tail}"

"""Who promotes or rolls back, and why: one line each, for the promotion log."""

import getpass
import os
import socket

from ml.core.errors import UsageError

ACTOR = "JUKEBOX_ACTOR"
"""Names who acts where the user of the process says nothing: in Tekton, the PipelineRun."""

LONGEST = 200
"""Characters of who, and of why."""


def actor() -> str:
    """Return who acts: what JUKEBOX_ACTOR says, or else ``user@host``.

    Raises:
        UsageError: JUKEBOX_ACTOR is not one printable line of at most 200 characters.
    """
    if named := os.environ.get(ACTOR, ""):
        return require_line(ACTOR, named)
    return _printable(f"{_user()}@{socket.gethostname()}")


def require_line(option: str, text: str) -> str:
    """Return a text that may stand in the log.

    Args:
        option: how the user named it.
        text: one line; "" is allowed.

    Raises:
        UsageError: it is longer than 200 characters, or some of them cannot be printed.
    """
    if len(text) > LONGEST or not text.isprintable():
        raise UsageError(f"{option}: give one printable line of at most {LONGEST} characters")
    return text.strip()


def _user() -> str:
    """Return the user's name; a container often runs as a number that has none."""
    try:
        return os.environ.get("USER") or getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _printable(text: str) -> str:
    """Return a name of this machine as one line: it is not the user's fault if it is none."""
    return "".join(c if c.isprintable() else "?" for c in text)[:LONGEST]

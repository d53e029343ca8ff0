"""Who promotes or rolls back, and why: one line each in the promotion log."""

import getpass
import os
import socket

from ml.core.errors import UsageError

ACTOR = "JUKEBOX_ACTOR"
"""The variable that names the actor, where the user of the process is not a person: in Tekton."""

LONGEST = 200
"""Characters of the actor, and of the reason."""


def actor() -> str:
    """Return the actor: JUKEBOX_ACTOR, or else ``user@host``.

    Raises:
        UsageError: JUKEBOX_ACTOR is not one printable line of at most 200 characters.
    """
    if named := os.environ.get(ACTOR, ""):
        return require_line(ACTOR, named)
    return _printable(f"{_user()}@{socket.gethostname()}")


def require_line(option: str, text: str) -> str:
    """Return a text as it is logged: without white space at its ends.

    Args:
        option: the option or variable that has it, for the message.
        text: one line; "" is allowed.

    Raises:
        UsageError: it has more than 200 characters, or one that cannot be printed.
    """
    if len(text) > LONGEST or not text.isprintable():
        raise UsageError(f"{option}: give one printable line of at most {LONGEST} characters")
    return text.strip()


def _user() -> str:
    """Return the user's name, or the number: the user of a container often has no name."""
    try:
        return os.environ.get("USER") or getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _printable(text: str) -> str:
    """Return a text with ``?`` for what cannot be printed, cut to the longest that is logged."""
    return "".join(c if c.isprintable() else "?" for c in text)[:LONGEST]

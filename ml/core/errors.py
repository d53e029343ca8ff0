"""Errors for the user: each has a message of one line and an exit code (`docs/reference/exit-codes.md`)."""

from typing import Any


class Interrupted(BaseException):
    """The user, the terminal or the platform stops the command. Libraries do not catch a BaseException."""


class ReaderGone(Interrupted):
    """The reader of the output closed it, as `head` does after its last line."""

    exit_code = 141
    """128 + SIGPIPE: what a shell returns for a command that this signal ended."""


class JukeboxError(Exception):
    """An error with a message for the user: what, where, and what to do.

    ``details`` are added to the output where JSON was requested.
    """

    exit_code = 20

    def __init__(self, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.details = details or {}


class UsageError(JukeboxError):
    """The command was used wrongly: a flag, a path or a file that the user gave."""

    exit_code = 2


class DataError(UsageError):
    """A table cannot be read or breaks the data contract."""


class GateBlocked(JukeboxError):
    """The gate blocked the model."""

    exit_code = 10


class RunFailed(JukeboxError):
    """The run failed or was cancelled."""


class PlatformError(JukeboxError):
    """A service could not be reached or did not answer in time."""

    exit_code = 30


class EvidenceError(JukeboxError):
    """Evidence is missing, stale, changed, or not about this run."""

    exit_code = 40

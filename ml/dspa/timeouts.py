"""How long the submitter waits and retries, and one deadline for a command."""

import random
import time

from pydantic import BaseModel, ConfigDict, Field

from ml.core.errors import PlatformError


class Timeouts(BaseModel):
    """Every wait, in seconds. Only `deadline` and `stuck` are options of the command."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    deadline: float = Field(7200, gt=0, description="for the whole command")
    connect: float = Field(10, description="to open a connection")
    read: float = Field(30, description="between two pieces of an answer")
    request: float = Field(60, description="for one request, from the look-up of the name to the last byte")
    start: float = Field(60, description="to retry a DSPA that does not answer at the beginning")
    outage: float = Field(600, description="to retry a DSPA that does not answer later on")
    refused: float = Field(120, description="to retry 401 and 403 during a run: a token is being rotated")
    settle: float = Field(60, description="for a run to appear after a POST without an answer")
    unknown: float = Field(300, description="for a state that this version does not know to change")
    vanished: float = Field(30, description="for a run that is missing on the server to appear again")
    canceling: float = Field(300, description="for a cancelled run to end")
    evidence: float = Field(60, description="for evidence to appear after the run has ended")
    storage: float = Field(300, description="for one read of the object store, retries included")
    stop: float = Field(20, description="to terminate the run when the command is interrupted")
    poll: float = Field(2, description="between two looks at a run that changes")
    poll_most: float = Field(30, description="between two looks at a run that does not change")
    pods: float = Field(20, description="between two looks at the pods of a run")
    stuck: float = Field(600, description="for a step that cannot start, before the run is ended")
    again: float = Field(30, description="before a run that failed for a transient cause is retried")
    tries: int = Field(2, description="retries of such a run, each after twice the wait")
    posts: int = Field(3, description="POSTs of a run that get no answer and start no run")


class DeadlineOver(PlatformError):
    """The deadline of the command is reached."""


class Deadline:
    """The end of a time span that starts now."""

    def __init__(self, seconds: float) -> None:
        """Start the span."""
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def remaining(self) -> float:
        """Seconds that are left, at least 0."""
        return max(0.0, self._end - time.monotonic())

    def sleep(self, seconds: float) -> None:
        """Sleep, at most until the deadline.

        Raises:
            DeadlineOver: it is reached.
        """
        time.sleep(min(seconds, self.remaining))
        self.check()

    def check(self, what: str = "") -> None:
        """Raise if the deadline is reached.

        Raises:
            DeadlineOver: it is reached; the message ends with ``what``.
        """
        if not self.remaining:
            raise DeadlineOver(f"not done within {self.seconds:g} s (--timeout){': ' if what else ''}{what}")


def jittered(seconds: float) -> float:
    """Return a wait varied by up to a quarter, so that submitters do not ask at the same time."""
    return seconds * random.uniform(0.75, 1.25)  # noqa: S311 - nothing secret

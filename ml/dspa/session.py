"""Call the DSPA with retries: each kind of failure has its own timeout, and all end at the deadline."""

import functools
import time
from collections.abc import Callable
from typing import TypeVar

from ml.core.errors import PlatformError, UsageError
from ml.core.kubernetes import Api
from ml.core.within import NotInTime, call_within
from ml.dspa.answers import Run
from ml.dspa.client import Client
from ml.dspa.cluster import Cluster
from ml.dspa.dashboard import find_experiments
from ml.dspa.failures import Refused, Unavailable
from ml.dspa.timeouts import Deadline, DeadlineOver, Timeouts, jittered
from ml.dspa.watch import Watch

T = TypeVar("T")
FIRST = 0.5
"""Seconds before the first retry; each later one waits twice as long, up to `Timeouts.poll_most`."""


class Session:
    """The calls of one command to one DSPA. ``say`` prints a line for the user."""

    def __init__(
        self, client: Client, timeouts: Timeouts, deadline: Deadline, say: Callable[[str], None]
    ) -> None:
        """Store the arguments; send nothing."""
        self.client = client
        self.timeouts = timeouts
        self.deadline = deadline
        self.say = say
        namespace = client.connection.namespace
        self.watch = Watch(Cluster(namespace) if namespace else None, timeouts, say)

    def link(self, run: Run) -> str:
        """Return the address of a run in the dashboard, or in the API if the dashboard is not known."""
        where = self.client.connection
        if where.namespace and self._experiments:
            return f"{self._experiments}/{where.namespace}/{run.experiment_id}/runs/{run.run_id}"
        return f"{where.host}/apis/v2beta1/runs/{run.run_id}"

    @functools.cached_property
    def _experiments(self) -> str:
        """The dashboard's page of experiments; looked up once, for the first link."""
        where = self.client.connection
        route = f"ds-pipeline-{where.dspa}-{where.namespace}"
        return where.experiments or find_experiments(where.host, route, Api(where.namespace))

    def begin(self) -> str:
        """Connect and return the server's version.

        A refused token or an invalid certificate is an error at once; only a missing answer is retried.

        Raises:
            PlatformError: the DSPA cannot be used.
        """
        health, _ = self.ask(self.client.health, outage=self.timeouts.start, refused=0)
        return health.tag_name or health.commit_sha

    def ask(
        self, call: Callable[[float], T], *, outage: float | None = None, refused: float | None = None
    ) -> T:
        """Call, and retry while the DSPA is unavailable or refuses the token, each up to its timeout.

        Args:
            call: gets the seconds that it may take. It must be idempotent.
            outage: seconds to retry while there is no answer; `Timeouts.outage` by default.
            refused: seconds to retry a refused request (a token is being rotated).

        Raises:
            DeadlineOver: the command's deadline is reached; the message names the last failure.
            Unavailable, Refused: the retries are over.
            Untrusted, Rejected: without a retry.
        """
        allowed: dict[type, float] = {
            Unavailable: self.timeouts.outage if outage is None else outage,
            Refused: self.timeouts.refused if refused is None else refused,
        }
        since: dict[type, float] = {}
        pause = FIRST
        what = ""
        while True:
            self.deadline.check(what)
            try:
                answer = call(self.deadline.remaining)
            except (Unavailable, Refused) as error:
                now, kind, what = time.monotonic(), type(error), str(error)
                if kind not in since:
                    since[kind] = now
                    if allowed[kind]:
                        most = min(allowed[kind], self.deadline.remaining)
                        self.say(f"{what}; retrying for up to {most:.0f} s")
                left = allowed[kind] - (now - since[kind])
                if left <= 0:
                    raise
                wait = max(jittered(pause), error.wait if isinstance(error, Unavailable) else 0)
                pause = min(2 * pause, self.timeouts.poll_most)
                try:
                    self.deadline.sleep(min(wait, left))
                except DeadlineOver:
                    self.deadline.check(what)
                    raise
            else:
                if any(allowed[kind] for kind in since):
                    self.say("the DSPA answers again")
                return answer

    def in_time(self, call: Callable[[], T], where: str) -> T:
        """Call a function that reads the object store, with a timeout.

        Args:
            call: the function.
            where: what it reads, for messages.

        Raises:
            DeadlineOver: the command's deadline is reached.
            PlatformError: the store cannot be used, or does not answer.
        """
        seconds = min(self.timeouts.storage, self.deadline.remaining)
        try:
            return call_within(seconds, call)
        except UsageError as error:
            # Not an error of the command line: places are checked before the first request to the DSPA.
            raise PlatformError(str(error)) from error
        except NotInTime:
            self.deadline.check(f"{where} does not answer")
            raise PlatformError(f"{where}: no answer within {seconds:.0f} s") from None

"""Watch the pods of a run while it is followed, and find the cause if it fails."""

import time
from collections.abc import Callable

from ml.core.errors import RunFailed
from ml.core.kubernetes import NotReadable
from ml.dspa.cluster import Cluster
from ml.dspa.pods import Cause
from ml.dspa.timeouts import Timeouts


class Stuck(RunFailed):
    """A step did not start within `Timeouts.stuck`."""


class Watch:
    """Reads the pods of one run every `Timeouts.pods` seconds.

    If they cannot be read, only the cause of a failure is missing: the run is followed by the DSPA's API.
    """

    def __init__(self, cluster: Cluster | None, timeouts: Timeouts, say: Callable[[str], None]) -> None:
        """Store the arguments. ``say`` prints a line; ``cluster`` is None if the namespace is not known."""
        self._cluster = cluster
        self._timeouts = timeouts
        self._say = say
        self._next = time.monotonic() + timeouts.pods
        self._blind = cluster is None
        self._since: dict[str, float] = {}
        self._said: set[tuple[str, str]] = set()

    def look(self, run_id: str) -> None:
        """Report why steps cannot start, each cause once.

        Raises:
            Stuck: a step did not start within `Timeouts.stuck`.
        """
        now = time.monotonic()
        if self._cluster is None or self._blind or now < self._next:
            return
        self._next = now + self._timeouts.pods
        try:
            waiting = self._cluster.waiting(run_id)
        except NotReadable as error:
            self._blind = error.lasting
            return
        earlier, self._since = self._since, {}
        for cause in waiting:
            since = self._since[cause.step] = earlier.get(cause.step, now)
            # The kubelet alternates between messages for the same problem.
            what = (cause.step, cause.line.partition(":")[0])
            # Report a cause only if two looks in a row show it.
            if cause.step in earlier and what not in self._said:
                self._said.add(what)
                left = self._timeouts.stuck - (now - since)
                self._say(f"{cause}; if that lasts, the run is terminated in {left:.0f} s (--stuck)")
            if now - since > self._timeouts.stuck:
                details = {"causes": [cause.model_dump()]}
                raise Stuck(f"run {run_id} is stuck: {cause}", details)

    @property
    def troubled(self) -> bool:
        """Whether a step could not start at the last look; then the run is polled more often."""
        return bool(self._since)

    def without_pods(self, run_id: str) -> str:
        """Return a note if the run has no pods, so that nothing ends it; "" otherwise."""
        try:
            none = self._cluster is not None and not self._cluster.pods(run_id)
        except NotReadable:
            return ""
        return " (it has no pods: its workflow was deleted)" if none else ""

    def why(self, run_id: str) -> tuple[list[Cause], str]:
        """Return why a run failed, or else how to find out: one of the two is empty."""
        reason = "the namespace of the runs is not known: give --namespace"
        if self._cluster is not None:
            try:
                if causes := self._cluster.failures(run_id):
                    return causes, ""
                reason = f"namespace {self._cluster.namespace} has no failed pod of it"
            except NotReadable as error:
                reason = str(error)
        where = self._cluster.namespace if self._cluster else "NAMESPACE"
        return [], (
            f"{reason}; `kubectl logs -n {where} -l pipeline/runid={run_id} -c main --prefix --tail=50` "
            "shows its logs"
        )

"""Watch the pods of a run while it is followed, and say in the end why it failed."""

import time
from collections.abc import Callable

from ml.core.errors import RunFailed
from ml.core.kubernetes import NotReadable
from ml.dspa.cluster import Cluster
from ml.dspa.pods import Cause
from ml.dspa.timeouts import Timeouts


class Stuck(RunFailed):
    """A step cannot begin, and has not for too long."""


class Watch:
    """Looks at the pods of one run from time to time.

    Where they cannot be read nothing is lost but the reason: the run itself is followed by the DSPA's API.
    """

    def __init__(self, cluster: Cluster | None, timeouts: Timeouts, say: Callable[[str], None]) -> None:
        """Prepare. ``say`` takes a line for the user; ``cluster`` is None for an unknown namespace."""
        self._cluster = cluster
        self._timeouts = timeouts
        self._say = say
        self._next = time.monotonic() + timeouts.pods
        self._blind = cluster is None
        self._since: dict[str, float] = {}
        self._said: set[tuple[str, str]] = set()

    def look(self, run_id: str) -> None:
        """Say what keeps steps from beginning, each once.

        Raises:
            Stuck: one has not begun within `Timeouts.stuck`.
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
            # The kubelet words the same trouble now in one way, now in another.
            what = (cause.step, cause.line.partition(":")[0])
            # What is seen in two looks is no passing moment.
            if cause.step in earlier and what not in self._said:
                self._said.add(what)
                left = self._timeouts.stuck - (now - since)
                self._say(f"{cause}; if that lasts, the run is given up in {left:.0f} s (--stuck)")
            if now - since > self._timeouts.stuck:
                details = {"causes": [cause.model_dump()]}
                raise Stuck(f"run {run_id} cannot go on: {cause}", details)

    @property
    def troubled(self) -> bool:
        """Whether something could not begin at the last look: then the run is looked at more often."""
        return bool(self._since)

    def without_pods(self, run_id: str) -> str:
        """Return an aside that the run has no pods, so that nothing ends it; "" where that is not known."""
        try:
            none = self._cluster is not None and not self._cluster.pods(run_id)
        except NotReadable:
            return ""
        return " (it has no pods: its workflow was deleted)" if none else ""

    def why(self, run_id: str) -> tuple[list[Cause], str]:
        """Return why a run failed, and what to do where that cannot be found out: one of them is empty."""
        reason = "the namespace of the runs is not known: give --namespace"
        if self._cluster is not None:
            try:
                if causes := self._cluster.failures(run_id):
                    return causes, ""
                reason = f"namespace {self._cluster.namespace} has no pod of it that failed"
            except NotReadable as error:
                reason = str(error)
        where = self._cluster.namespace if self._cluster else "NAMESPACE"
        return [], (
            f"{reason}; `kubectl logs -n {where} -l pipeline/runid={run_id} -c main --prefix --tail=50` "
            "shows its logs"
        )

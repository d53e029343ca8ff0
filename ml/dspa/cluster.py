"""The pods of a run, read from the Kubernetes API.

The right to read them is optional: the verb list on pods and events, and get on pods/log, in the runs'
namespace.
"""

import datetime
import re

from ml.core.kubernetes import Api, NotReadable
from ml.dspa.pods import MAIN, Cause, Pod, newest, read_pods

RUN_LABEL = "pipeline/runid"
"""The label that each pod of a run has."""

TAIL = 50
"""Lines at the end of a log that are searched for the reason of a failure."""

LAUNCHER = re.compile(r"F\d{4} .*\] failed to execute component: (.*)")
"""An error of KFP's launcher, which runs each step."""

NOISE = re.compile(r"exit status \d+$|^time=.* argo=true")
"""Lines that launcher and Argo write after a step has ended."""

SLOW = datetime.timedelta(seconds=60)
"""Age from which the events of a pending pod are read: some reasons are in events only."""

NO_PODS = Cause(
    step="the run",
    line="it has no pods: its workflow was deleted, or no controller has started it",
    kind="NoPods",
)


class Cluster:
    """The pods of runs in one namespace. Every method raises NotReadable if they cannot be read."""

    def __init__(self, namespace: str) -> None:
        """Prepare; nothing is asked yet."""
        self.namespace = namespace
        self._api = Api(namespace)

    def waiting(self, run_id: str) -> list[Cause]:
        """Return the steps of a run that cannot start, with the cause."""
        pods = self.pods(run_id)
        if not pods:
            return [NO_PODS]
        return [cause for pod in newest(pods) if (cause := self._waits_for(pod))]

    def failures(self, run_id: str) -> list[Cause]:
        """Return the steps of a run that failed or could not start, with the cause."""
        causes = []
        for pod in newest(self.pods(run_id)):
            cause = pod.failed_for() or self._waits_for(pod)
            if cause and not cause.kind and (reason := self._reason_in_log(pod)):
                cause = cause.model_copy(update={"line": reason})
            if cause:
                causes.append(cause)
        return causes

    def pods(self, run_id: str) -> list[Pod]:
        """List the pods of a run, oldest first."""
        label = f"{RUN_LABEL}={run_id}"
        answer = self._api.read_json("CoreV1Api", "list_namespaced_pod", label_selector=label)
        try:
            return read_pods(answer["items"])
        except (KeyError, TypeError, ValueError) as error:
            raise NotReadable("the answer is not a list of pods", lasting=True) from error

    def log(self, pod: Pod, lines: int | None = None) -> str:
        """Return the log of a pod's step, or its last ``lines`` lines."""
        limit = {"tail_lines": lines} if lines else {}
        data = self._api.read("CoreV1Api", "read_namespaced_pod_log", name=pod.name, container=MAIN, **limit)
        return data.decode("utf-8", "replace")

    def _reason_in_log(self, pod: Pod) -> str:
        try:
            return failure_reason(pod.step, self.log(pod, TAIL))
        except NotReadable:
            # The pod could be read: its status has to do.
            return ""

    def _waits_for(self, pod: Pod) -> Cause | None:
        cause = pod.waits_for()
        age = datetime.datetime.now(datetime.UTC) - pod.metadata.creation_timestamp
        if cause or pod.status.phase != "Pending" or age < SLOW:
            return cause
        about = f"involvedObject.name={pod.name},type=Warning"
        answer = self._api.read_json("CoreV1Api", "list_namespaced_event", field_selector=about)
        events = answer.get("items")
        if not events:
            return None
        last = max(events, key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
        return pod.cause(f"cannot start: {last.get('message', '')}", last.get("reason", ""))


def failure_reason(step: str, log: str) -> str:
    """Return the line of a log that says why a step failed.

    It is the launcher's own error (it can fail to write to the store after the step succeeded), else the last
    line that the step itself has written, else the last line of the log.
    """
    lines = [line.strip() for line in log.splitlines() if line.strip() and not NOISE.search(line)]
    launcher = [error[1] for line in lines if (error := LAUNCHER.match(line))]
    own = [line.removeprefix(f"{step}: ") for line in lines if step and line.startswith(f"{step}: ")]
    return (launcher or own or lines or [""])[-1][:1000]

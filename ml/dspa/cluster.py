"""The pods of a run, read from the Kubernetes API. The caller's right to do so is optional.

Reading needs the verb list on pods and events, and get on pods/log, in the runs' namespace.
"""

import datetime
import re

from ml.core.kubernetes import Api, NotReadable
from ml.dspa.pods import MAIN, Cause, Pod, newest, read_pods

RUN_LABEL = "pipeline/runid"
"""The label that each pod of a run has."""

TAIL = 50
"""Lines of a log among which a step's last word is looked for."""

LAUNCHER = re.compile(r"F\d{4} .*\] failed to execute component: (.*)")
"""KFP's launcher around each step, and what it could not do."""

NOISE = re.compile(r"exit status \d+$|^time=.* argo=true")
"""What launcher and Argo say of a step that has ended by itself."""

SLOW = datetime.timedelta(seconds=60)
"""A pod that has not begun for so long may have a reason that only its events tell."""

NO_PODS = Cause(
    step="the run", line="it has no pods: its workflow was deleted, or nothing takes it up", kind="NoPods"
)


class Cluster:
    """The pods of runs in one namespace. Every method raises NotReadable where they cannot be read."""

    def __init__(self, namespace: str) -> None:
        """Prepare; nothing is asked yet."""
        self.namespace = namespace
        self._api = Api(namespace)

    def waiting(self, run_id: str) -> list[Cause]:
        """Say which steps of a run cannot begin, and why."""
        pods = self.pods(run_id)
        if not pods:
            return [NO_PODS]
        return [cause for pod in newest(pods) if (cause := self._waits_for(pod))]

    def failures(self, run_id: str) -> list[Cause]:
        """Say which steps of a run failed or could not begin, and why."""
        found = []
        for pod in newest(self.pods(run_id)):
            cause = pod.failed_for() or self._waits_for(pod)
            if cause and not cause.kind and (word := self._last_word(pod)):
                cause = cause.model_copy(update={"line": word})
            if cause:
                found.append(cause)
        return found

    def pods(self, run_id: str) -> list[Pod]:
        """List the pods of a run, oldest first."""
        label = f"{RUN_LABEL}={run_id}"
        found = self._api.read_json("CoreV1Api", "list_namespaced_pod", label_selector=label)
        try:
            return read_pods(found["items"])
        except (KeyError, TypeError, ValueError) as error:
            raise NotReadable("the answer is no list of pods", lasting=True) from error

    def log(self, pod: Pod, lines: int | None = None) -> str:
        """Return the log of a pod's step, or the last lines of it."""
        limit = {"tail_lines": lines} if lines else {}
        data = self._api.read("CoreV1Api", "read_namespaced_pod_log", name=pod.name, container=MAIN, **limit)
        return data.decode("utf-8", "replace")

    def _last_word(self, pod: Pod) -> str:
        try:
            return last_word(pod.step, self.log(pod, TAIL))
        except NotReadable:
            # The pod itself was read: what it says is the reason then.
            return ""

    def _waits_for(self, pod: Pod) -> Cause | None:
        cause = pod.waits_for()
        age = datetime.datetime.now(datetime.UTC) - pod.metadata.creation_timestamp
        if cause or pod.status.phase != "Pending" or age < SLOW:
            return cause
        about = f"involvedObject.name={pod.name},type=Warning"
        found = self._api.read_json("CoreV1Api", "list_namespaced_event", field_selector=about)
        events = found.get("items")
        if not events:
            return None
        last = max(events, key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
        return pod.cause(f"cannot begin: {last.get('message', '')}", last.get("reason", ""))


def last_word(step: str, log: str) -> str:
    """Return why a step ended, out of its log.

    That is the launcher's error, where it is its own, as when it could not write to the store after a step
    that went well; else the step's last line; else the last line of all.
    """
    lines = [line.strip() for line in log.splitlines() if line.strip() and not NOISE.search(line)]
    launcher = [found[1] for line in lines if (found := LAUNCHER.match(line))]
    own = [line.removeprefix(f"{step}: ") for line in lines if step and line.startswith(f"{step}: ")]
    return (launcher or own or lines or [""])[-1][:1000]

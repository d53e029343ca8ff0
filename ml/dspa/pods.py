"""Read from the pods of a run why a step failed or does not start; the DSPA's API does not say.

A step writes its error as the termination message of its container (`ml.pipeline.step`). For a step without
one, and for images that cannot be pulled and pods that fit no node, the pod's status has the reason.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ml.dspa.pod_fields import Metadata, PodPart, Spec, Status, Terminated

NODE_NAME = "workflows.argoproj.io/node-name"
"""Argo's annotation with a pod's place in the workflow: `jukebox-x.root.train.executor`."""

STEP = re.compile(r"\.root(?:\(\d+\))?\.([a-z0-9-]+?)(?:\(\d+\))?(-driver(?:\(\d+\))?)?(?:\.executor.*)?$")
MESSAGE = re.compile(r"([A-Z]\w+): (.*)", re.DOTALL)
"""A step's termination message: the kind of its failure, and the reason."""

UNPULLABLE = (
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
)
STARTING = ("", "ContainerCreating", "PodInitializing")
"""Reasons for waiting that are no problem."""

TRANSIENT = ("", "PlatformError", "Evicted", "Preempting", "NodeShutdown")
"""Kinds of transient failures. A failure of KFP itself has no kind, as when it cannot write to the store."""

STOPPED = 143
"""The exit code of a container that ended on SIGTERM."""

MAIN = "main"
"""The name of the container in which the step runs."""


class Cause(BaseModel):
    """Why a step failed or does not start.

    ``kind`` is the class of the step's error, or Kubernetes' reason; "" for neither.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: str
    line: str
    kind: str = ""

    @property
    def transient(self) -> bool:
        """Whether a retry may succeed: a service or a node was unavailable."""
        return self.kind in TRANSIENT

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.step}: {self.line}"


def in_a_line(causes: Iterable[Cause]) -> str:
    """Return causes as one line; steps with the same cause are grouped."""
    steps: dict[str, list[str]] = {}
    for cause in causes:
        steps.setdefault(cause.line, []).append(cause.step)
    return "; ".join(f"{', '.join(named)}: {line}" for line, named in steps.items())


class Pod(PodPart):
    """The fields of a pod that tell the state of its step."""

    metadata: Metadata
    spec: Spec = Field(default=Spec())
    status: Status = Status()

    @property
    def name(self) -> str:
        """The pod's name."""
        return self.metadata.name

    @property
    def step(self) -> str:
        """The step that it runs, or whose driver it is; "" for the driver of the graph."""
        node = STEP.search(self.metadata.annotations.get(NODE_NAME, ""))
        return node[1] if node else ""

    @property
    def driver(self) -> bool:
        """Whether it is a driver, which decides if its step runs, and with which inputs."""
        node = STEP.search(self.metadata.annotations.get(NODE_NAME, ""))
        return not node or bool(node[2])

    @property
    def termination_message(self) -> str:
        """The termination message of the step, "" for none."""
        return next((one.message for name, one in self._terminated() if name == MAIN), "")

    def waits_for(self) -> Cause | None:
        """Return why the pod cannot start, None if nothing prevents it."""
        if self.status.phase != "Pending":
            return None
        for condition in self.status.conditions:
            if condition.type == "PodScheduled" and condition.reason == "Unschedulable":
                return self.cause(f"cannot be scheduled: {condition.message}", condition.reason)
        for container in (*self.status.init_container_statuses, *self.status.container_statuses):
            waiting = container.state.waiting
            if waiting is None or waiting.reason in STARTING:
                continue
            if waiting.reason in UNPULLABLE:
                # The container runtime wraps its errors: the innermost comes last.
                why = f"{container.image}: {waiting.message.rpartition(': ')[2]}"
                return self.cause(f"image cannot be pulled: {why}", waiting.reason)
            return self.cause(f"cannot start: {waiting.reason}: {waiting.message}", waiting.reason)
        return None

    def failed_for(self) -> Cause | None:
        """Return why the pod failed, None if it did not fail."""
        if self.status.phase != "Failed":
            return None
        ends = dict(self._terminated())
        killed = [name for name, end in ends.items() if end.reason == "OOMKilled"]
        if killed:
            limits = {
                one.name: one.resources.limits.get("memory", "its limit") for one in self.spec.containers
            }
            return self.cause(
                f"OOMKilled at {limits.get(killed[0])} ({self._raise('memory_limit')})", "OOMKilled"
            )
        if message := MESSAGE.fullmatch(self.termination_message):
            return self.cause(message[2], message[1])
        reason = self.status.reason
        if reason == "DeadlineExceeded":
            minutes = self.spec.active_deadline_seconds / 60
            return self.cause(f"not done in {minutes:g} minutes ({self._raise('minutes')})", reason)
        said = f"{reason}: {self.status.message}" if reason else "its pod failed and gives no reason"
        for name, end in ends.items():
            if end.exit_code and not reason:
                if end.exit_code == STOPPED:
                    line = "its pod got SIGTERM: the run was cancelled, or the node was drained"
                    return self.cause(line, "SIGTERM")
                where = "" if name == MAIN else f" in its container {name}"
                said = f"ended with code {end.exit_code}{where}: {end.message}"
                break
        return self.cause(said, reason)

    def _raise(self, bound: str) -> str:
        return f"raise {bound} of {self.step} with `jukebox compile --resources`"

    def _terminated(self) -> Iterator[tuple[str, Terminated]]:
        """Iterate over the terminated containers by name, the step's own first."""
        statuses = [*self.status.container_statuses, *self.status.init_container_statuses]
        for container in sorted(statuses, key=lambda one: one.name != MAIN):
            if container.state.terminated:
                yield container.name, container.state.terminated

    def cause(self, line: str, kind: str = "") -> Cause:
        """Return a cause for its step, as one bounded line."""
        return Cause(step=self.step or "the run", line=" ".join(line.split()).rstrip(" :")[:1000], kind=kind)


def read_pods(items: list[Any]) -> list[Pod]:
    """Parse pods of the Kubernetes API; the oldest is first."""
    return sorted(map(Pod.model_validate, items), key=lambda pod: pod.metadata.creation_timestamp)


def newest(pods: list[Pod]) -> list[Pod]:
    """Return the newest pod of each step and of each driver: earlier ones are earlier tries."""
    return list({(pod.step, pod.driver): pod for pod in pods}.values())

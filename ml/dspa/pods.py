"""What the pods of a run say: why a step failed, or does not begin. The DSPA's own API tells neither.

A step leaves its last line as its container's termination message (`ml.pipeline.steps`). One that dies
without a word, whose image cannot be pulled, or that fits no node, is told of by Kubernetes.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

NODE_NAME = "workflows.argoproj.io/node-name"
"""The annotation with which Argo tells a pod's place in the workflow: `jukebox-x.root.train.executor`."""

STEP = re.compile(r"\.root(?:\(\d+\))?\.([a-z0-9-]+?)(?:\(\d+\))?(-driver(?:\(\d+\))?)?(?:\.executor.*)?$")
WORD = re.compile(r"([A-Z]\w+): (.*)", re.DOTALL)
"""A step's last line: the kind of its failure, and the line."""

UNPULLABLE = (
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
)
BEGINNING = ("", "ContainerCreating", "PodInitializing")
"""What a container waits for that is well."""

PASSING = ("", "PlatformError", "Evicted", "Preempting", "NodeShutdown")
"""Kinds of failures that may pass. One without a kind is KFP's own, as when it cannot write to the store."""

STOPPED = 143
"""The exit code of a container that has heeded SIGTERM."""

MAIN = "main"
"""The container of a pod in which the step runs."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)


class _Waiting(_Part):
    reason: str = ""
    message: str = ""


class _Terminated(_Waiting):
    exit_code: int = 0


class _ContainerState(_Part):
    waiting: _Waiting | None = None
    terminated: _Terminated | None = None


class _ContainerStatus(_Part):
    name: str
    image: str = ""
    state: _ContainerState = _ContainerState()


class _Condition(_Part):
    type: str
    status: str
    reason: str = ""
    message: str = ""


class _Status(_Part):
    phase: str = ""
    reason: str = ""
    message: str = ""
    conditions: tuple[_Condition, ...] = ()
    init_container_statuses: tuple[_ContainerStatus, ...] = ()
    container_statuses: tuple[_ContainerStatus, ...] = ()


class _Metadata(_Part):
    name: str
    creation_timestamp: AwareDatetime
    annotations: dict[str, str] = {}


class _Resources(_Part):
    limits: dict[str, str] = {}


class _Container(_Part):
    name: str
    resources: _Resources = _Resources()


class _Spec(_Part):
    containers: tuple[_Container, ...] = ()
    active_deadline_seconds: int = 0


class Cause(BaseModel):
    """Why a step failed or does not begin.

    ``kind`` is the class of the error that the step ended with, or Kubernetes' reason; "" for neither.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: str
    line: str
    kind: str = ""

    @property
    def passing(self) -> bool:
        """Whether it may go better next time: a service or a node was away, and nothing has been decided."""
        return self.kind in PASSING

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.step}: {self.line}"


def in_a_line(causes: Iterable[Cause]) -> str:
    """Return causes as one line; steps with the same one are named together."""
    steps: dict[str, list[str]] = {}
    for cause in causes:
        steps.setdefault(cause.line, []).append(cause.step)
    return "; ".join(f"{', '.join(named)}: {line}" for line, named in steps.items())


class Pod(_Part):
    """As much of a pod as tells how its step fares."""

    metadata: _Metadata
    spec: _Spec = Field(default=_Spec())
    status: _Status = _Status()

    @property
    def name(self) -> str:
        """The pod's name."""
        return self.metadata.name

    @property
    def step(self) -> str:
        """The step that it runs, or whose driver it is; "" for the driver of the whole graph."""
        found = STEP.search(self.metadata.annotations.get(NODE_NAME, ""))
        return found[1] if found else ""

    @property
    def driver(self) -> bool:
        """Whether it only decides if its step runs, and with what."""
        found = STEP.search(self.metadata.annotations.get(NODE_NAME, ""))
        return not found or bool(found[2])

    @property
    def last_word(self) -> str:
        """What the step itself has left for a reason, "" for nothing."""
        return next((one.message for name, one in self._terminated() if name == MAIN), "")

    def waits_for(self) -> Cause | None:
        """Say what keeps the pod from beginning, if that does not pass by itself; None where all is well."""
        if self.status.phase != "Pending":
            return None
        for condition in self.status.conditions:
            if condition.type == "PodScheduled" and condition.reason == "Unschedulable":
                return self.cause(f"cannot be scheduled: {condition.message}", condition.reason)
        for container in (*self.status.init_container_statuses, *self.status.container_statuses):
            waiting = container.state.waiting
            if waiting is None or waiting.reason in BEGINNING:
                continue
            if waiting.reason in UNPULLABLE:
                # Of the runtime's errors, each wrapped in the next, the innermost.
                why = f"{container.image}: {waiting.message.rpartition(': ')[2]}"
                return self.cause(f"image cannot be pulled: {why}", waiting.reason)
            return self.cause(f"cannot begin: {waiting.reason}: {waiting.message}", waiting.reason)
        return None

    def failed_for(self) -> Cause | None:
        """Say why the pod failed, as far as it tells; None where it did not fail."""
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
        if word := WORD.fullmatch(self.last_word):
            return self.cause(word[2], word[1])
        reason = self.status.reason
        if reason == "DeadlineExceeded":
            minutes = self.spec.active_deadline_seconds / 60
            return self.cause(f"not done in {minutes:g} minutes ({self._raise('minutes')})", reason)
        said = f"{reason}: {self.status.message}" if reason else "its pod failed without a word"
        for name, end in ends.items():
            if end.exit_code and not reason:
                if end.exit_code == STOPPED:
                    line = "its pod was told to stop: the run was cancelled, or the node drained"
                    return self.cause(line, "SIGTERM")
                where = "" if name == MAIN else f" in its container {name}"
                said = f"ended with code {end.exit_code}{where}: {end.message}"
                break
        return self.cause(said, reason)

    def _raise(self, bound: str) -> str:
        return f"raise {bound} of {self.step} with `jukebox compile --resources`"

    def _terminated(self) -> Iterator[tuple[str, _Terminated]]:
        """List what has ended, the step's own container first."""
        found = [*self.status.container_statuses, *self.status.init_container_statuses]
        for container in sorted(found, key=lambda one: one.name != MAIN):
            if container.state.terminated:
                yield container.name, container.state.terminated

    def cause(self, line: str, kind: str = "") -> Cause:
        """Give its step this reason."""
        return Cause(step=self.step or "the run", line=" ".join(line.split()).rstrip(" :")[:1000], kind=kind)


def read_pods(items: list[Any]) -> list[Pod]:
    """Read a list of pods as the Kubernetes API gives it, oldest first."""
    return sorted(map(Pod.model_validate, items), key=lambda pod: pod.metadata.creation_timestamp)


def newest(pods: list[Pod]) -> list[Pod]:
    """Of the pods of each step, drivers apart, keep the newest: earlier ones were tries."""
    return list({(pod.step, pod.driver): pod for pod in pods}.values())

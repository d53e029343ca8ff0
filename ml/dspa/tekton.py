"""What Tekton knows of who submits: whether a SIGTERM means the run too, and which runs nobody follows."""

import re
from typing import Any

from ml.core.kubernetes import NOT_FOUND, Api, NotReadable
from ml.dspa.client import Run

PIPELINE_RUN = "tekton.dev/pipelineRun"
"""The label of a TaskRun that names its PipelineRun."""

STARTED_BY = re.compile(r"jukebox submit, attempt (\S+), PipelineRun ([a-z0-9-]+)/([a-z0-9.-]+)(: .*)?")
"""What the description of a run says, where a PipelineRun has submitted it."""


class TaskRun:
    """The TaskRun in whose pod this command runs."""

    def __init__(self, api: Api, name: str) -> None:
        """Prepare; nothing is asked yet."""
        self._api = api
        self._name = name

    def ended(self) -> bool:
        """Whether it was cancelled or deleted, or its time is over; when a pod is only removed, it goes on.

        Raises:
            NotReadable: it cannot be found out.
        """
        found = self._read("taskruns", self._name)
        return found is None or over(found)

    def pipeline_run(self) -> str:
        """Return namespace and name of its PipelineRun, "" where it has none or cannot be read."""
        try:
            labels = self._api.tekton("taskruns", self._name)["metadata"].get("labels", {})
        except NotReadable:
            return ""
        return f"{self._api.namespace}/{labels[PIPELINE_RUN]}" if PIPELINE_RUN in labels else ""

    def forsaken(self, run: Run) -> bool:
        """Whether a PipelineRun of this namespace has started a run, and has ended or is gone.

        Raises:
            NotReadable: it cannot be found out.
        """
        found = STARTED_BY.fullmatch(run.description)
        if not found or found[2] != self._api.namespace:
            return False
        there = self._read("pipelineruns", found[3])
        return there is None or there["metadata"]["uid"] != found[1] or over(there)

    def _read(self, kind: str, name: str) -> dict[str, Any] | None:
        """Read an object; None for one that is not there."""
        try:
            return self._api.tekton(kind, name)
        except NotReadable as error:
            if error.status == NOT_FOUND:
                return None
            raise


def over(found: dict[str, Any]) -> bool:
    """Tell whether a TaskRun or PipelineRun was told to end, or has ended."""
    conditions = found.get("status", {}).get("conditions", [])
    ended = any(one["type"] == "Succeeded" and one["status"] != "Unknown" for one in conditions)
    return ended or bool(found["spec"].get("status"))

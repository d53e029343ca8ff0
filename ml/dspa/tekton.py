"""Read from Tekton whether a SIGTERM is for the TaskRun or only its pod, and which runs are abandoned."""

import re
from typing import Any

from ml.core.kubernetes import NOT_FOUND, Api, NotReadable
from ml.dspa.answers import Run

PIPELINE_RUN = "tekton.dev/pipelineRun"
"""The label of a TaskRun that names its PipelineRun."""

STARTED_BY = re.compile(r"jukebox submit, attempt (\S+), PipelineRun ([a-z0-9-]+)/([a-z0-9.-]+)(: .*)?")
"""The description of a run that a PipelineRun has submitted."""


class TaskRun:
    """The TaskRun in whose pod this command runs."""

    def __init__(self, api: Api, name: str) -> None:
        """Store the arguments; send nothing."""
        self._api = api
        self._name = name

    def ended(self) -> bool:
        """Return whether it was cancelled or deleted, or timed out; without its pod it continues.

        Raises:
            NotReadable: it cannot be read.
        """
        task_run = self._read("taskruns", self._name)
        return task_run is None or has_ended(task_run)

    def pipeline_run(self) -> str:
        """Return namespace and name of its PipelineRun, "" if it has none or cannot be read."""
        try:
            labels = self._api.tekton("taskruns", self._name)["metadata"].get("labels", {})
        except NotReadable:
            return ""
        return f"{self._api.namespace}/{labels[PIPELINE_RUN]}" if PIPELINE_RUN in labels else ""

    def abandoned(self, run: Run) -> bool:
        """Return whether a PipelineRun of this namespace started the run, and has ended or was deleted.

        Raises:
            NotReadable: it cannot be read.
        """
        started_by = STARTED_BY.fullmatch(run.description)
        if not started_by or started_by[2] != self._api.namespace:
            return False
        pipeline_run = self._read("pipelineruns", started_by[3])
        return (
            pipeline_run is None
            or pipeline_run["metadata"]["uid"] != started_by[1]
            or has_ended(pipeline_run)
        )

    def _read(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return an object, None if it does not exist."""
        try:
            return self._api.tekton(kind, name)
        except NotReadable as error:
            if error.status == NOT_FOUND:
                return None
            raise


def has_ended(run: dict[str, Any]) -> bool:
    """Return whether a TaskRun or PipelineRun has ended, or was cancelled."""
    conditions = run.get("status", {}).get("conditions", [])
    ended = any(one["type"] == "Succeeded" and one["status"] != "Unknown" for one in conditions)
    return ended or bool(run["spec"].get("status"))

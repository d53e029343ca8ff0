"""Cancel the older PipelineRuns of a branch, whose commit or data is no longer the newest.

The Task fetch-source has checked that the commit of the newer run is the head of its ref. A run that is
promoting or ending is not cancelled, nor is a run without a ref, which a person started.
"""

from typing import Any

from ml.core.kubernetes import NOT_FOUND, Api, NotReadable
from ml.dspa.tekton import has_ended

PIPELINE = "tekton.dev/pipeline"
"""The label of a PipelineRun that names its Pipeline."""

SUPERSEDED_BY = "jukebox/superseded-by"
"""The annotation that tells the Tasks report and verdict of the older run why it ended."""

CANCEL = "CancelledRunFinally"
DECISIVE = "promote"
REF = "head-of"


def supersede(api: Api, name: str) -> list[str]:
    """Cancel the older PipelineRuns of the same ref, and return their names.

    Args:
        api: the namespace of the PipelineRuns.
        name: the newer PipelineRun.

    Raises:
        NotReadable: they cannot be read or changed.
    """
    ours = api.tekton("pipelineruns", name)
    label = ours["metadata"].get("labels", {}).get(PIPELINE, "")
    if not _ref(ours) or not label:
        return []
    runs = api.tekton_list("pipelineruns", f"{PIPELINE}={label}")
    older = [run for run in runs if _ref(run) == _ref(ours) and _age(run) < _age(ours) and not _is_done(run)]
    return [run["metadata"]["name"] for run in older if _cancel(api, run, name)]


def _cancel(api: Api, run: dict[str, Any], by: str) -> bool:
    """Cancel a run; its finally tasks still run. Return False if it was deleted meanwhile."""
    patch = {"metadata": {"annotations": {SUPERSEDED_BY: by}}, "spec": {"status": CANCEL}}
    try:
        api.tekton_patch("pipelineruns", run["metadata"]["name"], patch)
    except NotReadable as error:
        if error.status == NOT_FOUND:
            return False
        raise
    return True


def _ref(run: dict[str, Any]) -> str:
    """Return the ref of a run, and its repository if that is not the Pipeline's default; "" for none."""
    params = {param["name"]: param["value"] for param in run["spec"].get("params", [])}
    return f"{params[REF]} {params.get('repository-url', '')}" if params.get(REF) else ""


def _age(run: dict[str, Any]) -> tuple[str, str]:
    """Return the sort key of runs: the time of their creation, then their name."""
    return run["metadata"]["creationTimestamp"], run["metadata"]["name"]


def _is_done(run: dict[str, Any]) -> bool:
    """Return whether a run has ended, is ending, or is promoting."""
    status = run.get("status", {})
    promotes = any(child.get("pipelineTaskName") == DECISIVE for child in status.get("childReferences", []))
    return has_ended(run) or promotes or "finallyStartTime" in status

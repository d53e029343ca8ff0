"""A newer run of a branch ends the older ones: what they would promote is no longer what the branch holds.

Tekton says which run is newer: fetch-source has made sure that this one's commit is the head of its ref. A
run that promotes is let be, and so is one without a ref: somebody has started it by hand.
"""

from typing import Any

from ml.dspa.tekton import over
from ml.kubernetes import NOT_FOUND, Api, NotReadable

PIPELINE = "tekton.dev/pipeline"
"""The label of a PipelineRun that names its Pipeline."""

SUPERSEDED_BY = "jukebox/superseded-by"
"""The annotation that tells the task report of the older run why it ends."""

CANCEL = "CancelledRunFinally"
DECISIVE = "promote"
REF = "head-of"


def supersede(api: Api, name: str) -> list[str]:
    """End the older PipelineRuns of the same ref, and return their names.

    Args:
        api: the namespace of the PipelineRuns.
        name: the PipelineRun that is newer.

    Raises:
        NotReadable: they cannot be read, or not be changed.
    """
    ours = api.tekton("pipelineruns", name)
    label = ours["metadata"].get("labels", {}).get(PIPELINE, "")
    if not _ref(ours) or not label:
        return []
    found = api.tekton_list("pipelineruns", f"{PIPELINE}={label}")
    older = [run for run in found if _ref(run) == _ref(ours) and _age(run) < _age(ours) and not _is_done(run)]
    return [run["metadata"]["name"] for run in older if _cancel(api, run, name)]


def _cancel(api: Api, run: dict[str, Any], by: str) -> bool:
    """Cancel a run, so that what it does in any case is done; False where it is gone meanwhile."""
    patch = {"metadata": {"annotations": {SUPERSEDED_BY: by}}, "spec": {"status": CANCEL}}
    try:
        api.tekton_patch("pipelineruns", run["metadata"]["name"], patch)
    except NotReadable as error:
        if error.status == NOT_FOUND:
            return False
        raise
    return True


def _ref(run: dict[str, Any]) -> str:
    """Return the ref that a run is of, with the repository where it is not the Pipeline's own."""
    params = {param["name"]: param["value"] for param in run["spec"].get("params", [])}
    return f"{params[REF]} {params.get('repository-url', '')}" if params.get(REF) else ""


def _age(run: dict[str, Any]) -> tuple[str, str]:
    """Return what orders runs: when they were made, by the second, and then their names."""
    return run["metadata"]["creationTimestamp"], run["metadata"]["name"]


def _is_done(run: dict[str, Any]) -> bool:
    """Tell whether a run has ended, ends, or promotes."""
    status = run.get("status", {})
    promotes = any(child.get("pipelineTaskName") == DECISIVE for child in status.get("childReferences", []))
    return over(run) or promotes or "finallyStartTime" in status

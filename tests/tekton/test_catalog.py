"""What Tekton's catalogue asks of each Task and of the Pipeline: a version and annotations."""

import copy
import tomllib

import pytest
from tekton.manifests import ROOT, TEKTON, find, load, rendered

import ml

FOUND = {
    found["metadata"]["name"]: found
    for folder in ("pipelines", "tasks")
    for file in sorted((TEKTON / folder).glob("*.yaml"))
    for found in load(file)
    if "metadata" in found
}
TASKS = {name: found for name, found in FOUND.items() if found["kind"] == "Task"}


def minimum(found: dict) -> str:
    """Return the first release of Tekton Pipelines that takes an object as its default configuration is.

    0.43 is the first that serves tekton.dev/v1 (with computeResources, and taskRunTemplate in runs). An
    object as a result is a beta feature since 0.46, which the default configuration allows since 0.49; that
    a step lists its workspaces, and no other has them, since 0.50. The Pipeline needs what its Tasks need.
    """
    spec = found["spec"]
    specs = [spec, *(TASKS[task["taskRef"]["name"]]["spec"] for task in spec.get("tasks", ()))]
    if any("workspaces" in step for each in specs for step in each.get("steps", ())):
        return "0.50.0"
    types = {result.get("type") for each in specs for result in each.get("results", ())}
    return "0.49.0" if "object" in types else "0.43.0"


@pytest.mark.parametrize("name", FOUND)
def test_the_minimum_of_pipelines_follows_from_what_is_used(name):
    assert FOUND[name]["apiVersion"] == "tekton.dev/v1"
    assert FOUND[name]["metadata"]["annotations"]["tekton.dev/pipelines.minVersion"] == minimum(FOUND[name])


def test_an_object_as_a_result_raises_the_minimum():
    task = copy.deepcopy(TASKS["lint"])
    assert minimum(task) == "0.43.0"
    task["spec"]["results"] = [{"name": "X", "description": "x", "type": "object"}]
    assert minimum(task) == "0.49.0"


def test_workspaces_of_a_step_raise_the_minimum():
    task = copy.deepcopy(TASKS["lint"])
    task["spec"]["steps"][0]["workspaces"] = [{"name": "shared"}]
    assert minimum(task) == "0.50.0"


def test_the_version_is_the_packages():
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert tomllib.load(file)["project"]["version"] == ml.__version__
    for name, found in FOUND.items():
        assert found["metadata"]["labels"]["app.kubernetes.io/version"] == ml.__version__, name


def test_the_catalogues_metadata_reaches_the_cluster():
    for kind, name in [("Task", "promote"), ("Pipeline", "jukebox-train")]:
        metadata = find(rendered("openshift"), kind, name)["metadata"]
        assert metadata["annotations"].items() >= FOUND[name]["metadata"]["annotations"].items()
        assert metadata["labels"] == FOUND[name]["metadata"]["labels"]

"""The page of Tekton's Pipeline and Tasks, and the README of the Tasks, from their YAML."""

from collections.abc import Iterator
from typing import Any

import yaml

from .graphs import PIPELINE, ROOT
from .markdown import code, page, table

TASKS = ROOT / "tekton" / "tasks"
ALONE = """\
The Pipeline [`jukebox-train`](../pipelines/jukebox-train.yaml) consists of these Tasks, and
`kubectl apply -k tekton/overlays/openshift` (or `kubernetes`) installs all of them.

A Task also runs alone, by its sample in [`samples/`](../samples). The samples share one volume, on which each
finds what those before it have left. Replace their images and addresses by those of your `settings.env`, and
what a Task takes from another by that one's results (`tkn taskrun describe --last`).

    kubectl apply -n jukebox -f tekton/samples/claim.yaml
    kubectl create -n jukebox -f tekton/samples/fetch-source.yaml

On Kubernetes, add the content of [`pod-template.yaml`](../overlays/kubernetes/pod-template.yaml) as
`spec.podTemplate`; OpenShift needs none.
"""


def tekton_page() -> str:
    """Return docs/reference/tekton.md."""
    pipeline = _read(PIPELINE.read_text(encoding="utf-8"))
    return page(
        "Tekton",
        "The Pipeline is `tekton/pipelines/jukebox-train.yaml`, its Tasks are in `tekton/tasks/`. What a "
        "site sets once for all runs is in its [settings](settings.md#settingsenv).",
        f"## Pipeline {pipeline['metadata']['name']}",
        *described(pipeline),
        *(part for task in tasks() for part in (f"## Task {task['metadata']['name']}", *described(task))),
    )


def tasks_readme() -> str:
    """Return tekton/tasks/README.md."""
    parts = (
        part
        for task in tasks()
        for name in [task["metadata"]["name"]]
        for part in (f"## {name}", *described(task), f"Sample: [`{name}.yaml`](../samples/{name}.yaml)")
    )
    return page("Tasks", ALONE, *parts)


def tasks() -> list[dict[str, Any]]:
    """Return the Tasks in the order of the Pipeline."""
    pipeline = _read(PIPELINE.read_text(encoding="utf-8"))
    found = {task["metadata"]["name"]: task for task in map(_read, _files())}
    return [found[task["name"]] for task in (*pipeline["spec"]["tasks"], *pipeline["spec"]["finally"])]


def _files() -> list[str]:
    files = sorted(TASKS.glob("*.yaml"))
    return [file.read_text(encoding="utf-8") for file in files if file.name != "kustomization.yaml"]


def _read(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def described(found: dict[str, Any]) -> Iterator[str]:
    """Tell what a Pipeline or a Task is, needs, takes and gives."""
    metadata, spec = found["metadata"], found["spec"]
    notes = metadata["annotations"]
    yield spec["description"]
    yield (
        f"Version {metadata['labels']['app.kubernetes.io/version']}; "
        f"needs Tekton Pipelines {notes['tekton.dev/pipelines.minVersion']} or later; "
        f"runs on {notes['tekton.dev/platforms']}."
    )
    if params := spec.get("params"):
        yield table(
            ("parameter", "default", "what it is"),
            ((code(each["name"]), _default(each), each["description"]) for each in params),
        )
    if spaces := spec.get("workspaces"):
        yield table(
            ("workspace", "", "what it is"),
            ((code(each["name"]), _manner(each), each["description"]) for each in spaces),
        )
    if results := spec.get("results"):
        yield table(("result", "what it is"), ((code(each["name"]), each["description"]) for each in results))


def _default(param: dict[str, Any]) -> str:
    if "default" not in param:
        return "must be given"
    return code(param["default"]) or "empty"


def _manner(space: dict[str, Any]) -> str:
    words = [word for key, word in (("optional", "optional"), ("readOnly", "read only")) if space.get(key)]
    return ", ".join(words)

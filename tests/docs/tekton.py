"""The page of Tekton's Pipeline and Tasks, and the README of the Tasks, from their YAML."""

from collections.abc import Iterator
from typing import Any

import yaml

from .graphs import PIPELINE, ROOT
from .markdown import code, page, table

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
    pipeline = yaml.safe_load(PIPELINE.read_text())
    return page(
        "Tekton",
        "The Pipeline is `tekton/pipelines/jukebox-train.yaml`, its Tasks are in `tekton/tasks/`. What a "
        "site sets once for all runs is in its [settings](settings.md#settingsenv).",
        f"## Pipeline {pipeline['metadata']['name']}",
        *described(pipeline),
        *(part for name, task in tasks().items() for part in (f"## Task {name}", *described(task))),
    )


def tasks_readme() -> str:
    """Return tekton/tasks/README.md."""
    parts = []
    for name, task in tasks().items():
        parts += [f"## {name}", *described(task), f"Sample: [`{name}.yaml`](../samples/{name}.yaml)"]
    return page("Tasks", ALONE, *parts)


def tasks() -> dict[str, dict[str, Any]]:
    """Return the Tasks by name, in the order of the Pipeline."""
    spec = yaml.safe_load(PIPELINE.read_text())["spec"]
    objects = [yaml.safe_load(file.read_text()) for file in (ROOT / "tekton" / "tasks").glob("*.yaml")]
    by_name = {task["metadata"]["name"]: task for task in objects if task.get("kind") == "Task"}
    return {task["name"]: by_name[task["name"]] for task in (*spec["tasks"], *spec["finally"])}


def described(task: dict[str, Any]) -> Iterator[str]:
    """Tell what a Pipeline or a Task is, needs, takes and gives."""
    metadata, spec = task["metadata"], task["spec"]
    yield spec["description"]
    yield (
        f"Version {metadata['labels']['app.kubernetes.io/version']}; "
        f"needs Tekton Pipelines {metadata['annotations']['tekton.dev/pipelines.minVersion']} or later; "
        f"runs on {metadata['annotations']['tekton.dev/platforms']}."
    )
    titles = {"params": ("parameter", "default"), "workspaces": ("workspace", ""), "results": ("result", "")}
    for kind, title in titles.items():
        rows = [(code(each["name"]), _about(kind, each), each["description"]) for each in spec.get(kind, ())]
        if rows:
            yield table((*title, "what it is"), rows)


def _about(kind: str, item: dict[str, Any]) -> str:
    if kind == "params":
        return (code(item["default"]) or "empty") if "default" in item else "must be given"
    words = {"optional": "optional", "readOnly": "read only"}
    return ", ".join(word for key, word in words.items() if item.get(key))

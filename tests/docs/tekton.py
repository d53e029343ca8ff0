"""The page of Tekton's Pipeline and Tasks, from their YAML."""

from collections.abc import Iterator
from typing import Any

import yaml

from .graphs import PIPELINE, ROOT
from .markdown import code, page, table

TASKS = ROOT / "tekton" / "tasks"


def tekton_page() -> str:
    """Return docs/reference/tekton.md."""
    pipeline = _read(PIPELINE.read_text(encoding="utf-8"))
    tasks = {found["metadata"]["name"]: found for found in map(_read, _files())}
    order = [task["name"] for task in (*pipeline["spec"]["tasks"], *pipeline["spec"]["finally"])]
    return page(
        "Tekton",
        "The Pipeline is `tekton/pipelines/jukebox-train.yaml`, its Tasks are in `tekton/tasks/`. What a "
        "site sets once for all runs is in its [settings](settings.md#settingsenv).",
        f"## Pipeline {pipeline['metadata']['name']}",
        *_described(pipeline["spec"]),
        *(part for name in order for part in (f"## Task {name}", *_described(tasks[name]["spec"]))),
    )


def _files() -> list[str]:
    files = sorted(TASKS.glob("*.yaml"))
    return [file.read_text(encoding="utf-8") for file in files if file.name != "kustomization.yaml"]


def _read(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def _described(spec: dict[str, Any]) -> Iterator[str]:
    """Tell what a Pipeline or a Task is, takes and gives."""
    yield spec["description"]
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

"""The project's own objects: as kustomize renders an overlay, and the files below tekton/ one by one."""

import functools
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TEKTON = ROOT / "tekton"
OVERLAYS = ("kubernetes", "openshift")
Object = dict[str, Any]


class LOADER(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """libyaml's parser where it is there: ten times as fast as the one in Python."""


# PyYAML knows a plain `=` as a type of its own, and cannot make one; kustomize writes a matcher's "=" so.
LOADER.add_constructor("tag:yaml.org,2002:value", LOADER.construct_scalar)


def load(file: Path) -> list[Object]:
    """Return the documents of a YAML file."""
    return list(yaml.load_all(file.read_text(encoding="utf-8"), Loader=LOADER))


def rendered(overlay: str) -> list[Object]:
    """Render an overlay; the objects are the caller's own."""
    return json.loads(json.dumps(_rendered(TEKTON / "overlays" / overlay)))


@functools.cache
def _rendered(folder: Path) -> list[Object]:
    if not shutil.which("kubectl"):
        pytest.skip("install kubectl")
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.load_all(done.stdout, Loader=LOADER))


def render_copy(folder: Path) -> list[Object]:
    """Render an overlay of a copy of tekton/."""
    return _rendered.__wrapped__(folder)


def runs() -> list[Object]:
    """Return the PipelineRuns of tekton/runs/."""
    found = [run for file in sorted((TEKTON / "runs").glob("*.yaml")) for run in load(file)]
    return [run for run in found if "kind" in run]


def find(objects: list[Object], kind: str, name: str) -> Object:
    """Find one object."""
    (found,) = (o for o in objects if (o["kind"], o["metadata"]["name"]) == (kind, name))
    return found


def task_names() -> list[str]:
    """Name the Pipeline's tasks in their order; what runs in the end is none of them."""
    (pipeline,) = load(TEKTON / "pipelines" / "jukebox-train.yaml")
    return [task["name"] for task in pipeline["spec"]["tasks"]]


# Parts of objects, for tests that change them.


def step(objects: list[Object], task: str = "lint") -> Object:
    """Return the last step of a Task."""
    return find(objects, "Task", task)["spec"]["steps"][-1]


def pipeline_task(objects: list[Object], name: str) -> Object:
    """Return a task of the Pipeline, one that runs in the end too."""
    spec = find(objects, "Pipeline", "jukebox-train")["spec"]
    return named([*spec["tasks"], *spec["finally"]], name)


def template_run(objects: list[Object]) -> Object:
    """Return the PipelineRun that an event makes."""
    return find(objects, "TriggerTemplate", "jukebox")["spec"]["resourcetemplates"][0]


def named(items: list[Object], name: str) -> Object:
    """Return the one item of a name."""
    (found,) = (item for item in items if item["name"] == name)
    return found

"""The project's own objects: as kustomize renders an overlay, and the files below tekton/."""

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
GONE = "GONE"
Object = dict[str, Any]


class LOADER(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """libyaml's parser where it is there: ten times as fast as the one in Python."""


# PyYAML cannot construct a plain `=`, as kustomize writes a matcher's "=".
LOADER.add_constructor("tag:yaml.org,2002:value", LOADER.construct_scalar)


def load(file: Path) -> list[Object]:
    """Return the documents of a YAML file."""
    return list(yaml.load_all(file.read_text(encoding="utf-8"), Loader=LOADER))


def files(*folders: str) -> list[Object]:
    """Return the objects in some folders of tekton/."""
    listed = [file for folder in folders for file in sorted((TEKTON / folder).glob("*.yaml"))]
    return [each for file in listed for each in load(file) if "metadata" in each]


def rendered(overlay: str | Path) -> list[Object]:
    """Render an overlay, or one in a copy of tekton/; the objects are the caller's own."""
    return json.loads(_rendered(TEKTON / "overlays" / overlay))


@functools.cache
def _rendered(folder: Path) -> str:
    if not shutil.which("kubectl"):
        pytest.skip("install kubectl")
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.dumps(list(yaml.load_all(done.stdout, Loader=LOADER)))


def find(objects: list[Object], kind: str, name: str) -> Object:
    """Find one object."""
    (found,) = (o for o in objects if (o["kind"], o["metadata"]["name"]) == (kind, name))
    return found


def task_names() -> list[str]:
    """Name the tasks of the Pipeline in their order, without those of `finally`."""
    (pipeline,) = files("pipelines")
    return [task["name"] for task in pipeline["spec"]["tasks"]]


def look_up(root: Any, path: str) -> Any:
    """Return what is at a path of keys, numbers and names."""
    for key in path.split():
        root = root[_index(root, key)]
    return root


def edit(root: Any, path: str, value: Any) -> None:
    """Set what is at such a path; ``+`` appends to a list, and `GONE` deletes."""
    way, _, last = path.rpartition(" ")
    root = look_up(root, way)
    if last == "+":
        root.append(value)
    elif value == GONE:
        del root[_index(root, last)]
    else:
        root[_index(root, last)] = value


def _index(at: Any, key: str) -> Any:
    if not isinstance(at, list):
        return key
    if key.lstrip("-").isdigit():
        return int(key)
    kind, _, name = key.rpartition("/")
    names = [each["metadata"].get("name") if kind else each.get("name") for each in at]
    (index,) = (i for i, each in enumerate(at) if (each.get("kind", ""), names[i]) == (kind, name))
    return index

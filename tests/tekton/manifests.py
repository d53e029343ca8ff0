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
    found = [
        each for folder in folders for file in sorted((TEKTON / folder).glob("*.yaml")) for each in load(file)
    ]
    return [each for each in found if "metadata" in each]


def rendered(overlay: str) -> list[Object]:
    """Render an overlay; the objects are the caller's own."""
    return json.loads(_rendered(TEKTON / "overlays" / overlay))


def render(folder: Path) -> list[Object]:
    """Render an overlay of a copy of tekton/."""
    return json.loads(_rendered.__wrapped__(folder))


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


def named(items: list[Object], name: str) -> Object:
    """Return the one item of a name."""
    (found,) = (item for item in items if item["name"] == name)
    return found


def task_names() -> list[str]:
    """Name the tasks of the Pipeline in their order, without those of `finally`."""
    (pipeline,) = files("pipelines")
    return [task["name"] for task in pipeline["spec"]["tasks"]]


def edit(root: Any, path: str, value: Any) -> None:
    """Set what is at a path of keys, numbers and names; ``+`` appends to a list, and `GONE` deletes."""
    *keys, last = path.split()
    for key in keys:
        root = root[_index(root, key)]
    if last == "+":
        root.append(value)
    elif value is GONE:
        del root[_index(root, last)]
    else:
        root[_index(root, last)] = value


def _index(at: Any, key: str) -> Any:
    if not isinstance(at, list):
        return key
    if key.lstrip("-").isdigit():
        return int(key)
    (found,) = (number for number, item in enumerate(at) if _name(item) == key)
    return found


def _name(item: Any) -> Any:
    if "kind" in item and "metadata" in item:
        return f"{item['kind']}/{item['metadata'].get('name')}"
    return item.get("name")

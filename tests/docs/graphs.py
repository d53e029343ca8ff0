"""The two graphs that the picture shows: Tekton's tasks, and the steps of the compiled pipeline."""

import re
import tempfile
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import yaml

from ml.pipeline.compiler import compile_pipeline

ROOT = Path(__file__).parents[2]
PIPELINE = ROOT / "tekton" / "pipelines" / "jukebox-train.yaml"
RESULT = re.compile(r"\$\(tasks\.([\w-]+)\.results\.[\w-]+\)")


@dataclass(frozen=True)
class Graph:
    """What comes after what: for each node the nodes before it, those that follow from others left out.

    ``last`` are the nodes that run in the end whatever happened.
    """

    name: str
    description: str
    before: dict[str, tuple[str, ...]]
    last: tuple[str, ...] = ()


@cache
def tekton() -> Graph:
    """Read the Pipeline: a task comes after those of its runAfter, and those whose results it takes."""
    found = yaml.safe_load(PIPELINE.read_text(encoding="utf-8"))
    spec = found["spec"]
    before = {
        task["name"]: {*task.get("runAfter", ()), *RESULT.findall(yaml.safe_dump(task))}
        for task in spec["tasks"]
    }
    last = tuple(task["name"] for task in spec["finally"])
    return Graph(found["metadata"]["name"], spec["description"], reduced(before), last)


@cache
def ir() -> dict[str, Any]:
    """Compile the pipeline as `jukebox compile` does, and return the IR's first document."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        compile_pipeline(path)
        spec: dict[str, Any] = next(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    return spec


@cache
def kfp() -> Graph:
    """Read the compiled pipeline: a step comes after its dependent tasks."""
    info = ir()["pipelineInfo"]
    tasks = ir()["root"]["dag"]["tasks"]
    before = {name: set(task.get("dependentTasks", ())) for name, task in tasks.items()}
    return Graph(info["name"], info["description"], reduced(before))


def reduced(before: dict[str, set[str]]) -> dict[str, tuple[str, ...]]:
    """Leave out what follows from the rest (a transitive reduction), in an order in which all can run."""
    order = TopologicalSorter({name: sorted(nodes) for name, nodes in sorted(before.items())}).static_order()
    far: dict[str, set[str]] = {}
    kept = {}
    for name in order:
        indirect = set().union(*(far[node] for node in before[name]))
        far[name] = before[name] | indirect
        kept[name] = tuple(sorted(before[name] - indirect))
    return kept

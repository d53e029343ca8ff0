"""The two graphs that the picture shows: Tekton's tasks, and the steps of the compiled pipeline."""

import re
import tempfile
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import yaml

from ml.pipeline.compiler import compile_pipeline

ROOT = Path(__file__).parents[2]
PIPELINE = ROOT / "tekton" / "pipelines" / "jukebox-train.yaml"


class Graph(NamedTuple):
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
    pipeline = yaml.safe_load(PIPELINE.read_text())
    spec, before = pipeline["spec"], {}
    for task in spec["tasks"]:
        results = re.findall(r"\$\(tasks\.([\w-]+)\.results\.[\w-]+\)", yaml.safe_dump(task))
        before[task["name"]] = {*task.get("runAfter", ()), *results}
    last = tuple(task["name"] for task in spec["finally"])
    return Graph(pipeline["metadata"]["name"], spec["description"], reduced(before), last)


@cache
def kfp() -> Graph:
    """Compile the pipeline as `jukebox compile` does: a step comes after its dependent tasks."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        compile_pipeline(path)
        ir = next(yaml.safe_load_all(path.read_text()))
    info, tasks = ir["pipelineInfo"], ir["root"]["dag"]["tasks"]
    before = {name: set(task.get("dependentTasks", ())) for name, task in tasks.items()}
    return Graph(info["name"], info["description"], reduced(before))


def reduced(before: dict[str, set[str]]) -> dict[str, tuple[str, ...]]:
    """Leave out what follows from the rest (a transitive reduction), in an order in which all can run."""
    far: dict[str, set[str]] = {}
    kept = {}
    for name in TopologicalSorter({name: sorted(before[name]) for name in sorted(before)}).static_order():
        indirect = set().union(*(far[node] for node in before[name]))
        far[name] = before[name] | indirect
        kept[name] = tuple(sorted(before[name] - indirect))
    return kept

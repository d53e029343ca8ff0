"""Who promotes, as the Task tells `jukebox promote`: the PipelineRun, or the TaskRun that is run alone."""

import os

import pytest
from tekton.harness import World, execute, execute_alone
from tekton.manifests import TEKTON, load

PARAMS = {
    "tools-image": "registry.example/jukebox/tools@sha256:" + "0" * 64,
    "candidate": "abc",
    "store": "s3://models/jukebox",
    "promotion-secret": "jukebox-promotion",
}
JUKEBOX = """#!/bin/sh
set -eu
printf '%s|%s\\n' "$JUKEBOX_ACTOR" "$*"
printf 1 > "$JUKEBOX_RESULTS_DIR/PROMOTION"
printf s3://x > "$JUKEBOX_RESULTS_DIR/SERVED_AT"
"""


@pytest.fixture
def world(tmp_path):
    """Only the Task, in a Pipeline of its own, and a `jukebox` that says how it was called."""
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "jukebox"
    command.write_text(JUKEBOX)
    command.chmod(0o755)
    params = [{"name": name, "value": value} for name, value in PARAMS.items()]
    pipeline = {
        "kind": "Pipeline",
        "metadata": {"name": "p"},
        "spec": {
            "params": [],
            "tasks": [{"name": "promote", "taskRef": {"name": "promote"}, "params": params}],
            "finally": [],
        },
    }
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "s3cret"}
    path = f"{command.parent}:{os.environ['PATH']}"
    objects = [*load(TEKTON / "tasks" / "promote.yaml"), pipeline]
    return World(tmp_path, objects, {"jukebox-promotion": keys}, {"PATH": path, "JUKEBOX_ACTOR": "somebody"})


def test_a_run_of_the_pipeline_promotes_in_its_name(world):
    spec = {"pipelineRef": {"name": "p"}, "workspaces": [], "taskRunSpecs": []}
    end = execute(world, spec, "jukebox-train-abc12").tasks["promote"]
    assert (end.status, end.log) == ("Succeeded", "PipelineRun music/jukebox-train-abc12|promote abc\n")


def test_a_run_of_the_task_alone_promotes_in_its_own_name(world):
    (sample,) = load(TEKTON / "samples" / "promote.yaml")
    end = execute_alone(world, sample["spec"], "promote-x7k2p")
    assert end.status == "Succeeded"
    assert end.log == f"TaskRun music/promote-x7k2p|promote {'0' * 64}\n"
    assert end.results == {"PROMOTION": "1", "SERVED_AT": "s3://x"}


def test_a_task_run_that_fails_has_failed(world):
    (world.folder / "bin" / "jukebox").write_text("#!/bin/sh\nexit 40\n")
    (sample,) = load(TEKTON / "samples" / "promote.yaml")
    end = execute_alone(world, sample["spec"], "promote-x7k2p")
    assert (end.status, end.results) == ("Failed", {})

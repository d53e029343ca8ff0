"""The compiled IR is the graph of the design, byte for byte the same, and asks for nothing at run time."""

import ast
import os
import re
import subprocess
import sys

import pytest
import yaml

from ml.core.errors import UsageError
from ml.pipeline.bounds import default_bounds
from ml.pipeline.compiler import compile_pipeline, require_pipeline

IMAGE = "registry.example/team/jukebox@sha256:" + "a" * 64
GRAPH = {
    "champion": set(),
    "fetch": set(),
    "validate": {"champion", "fetch"},
    "preprocess": {"fetch"},
    "train": {"validate", "preprocess"},
    "evaluate": {"champion", "train", "preprocess"},
    "convert": {"train", "preprocess"},
    "parity": {"convert", "preprocess"},
    "serving": {"convert", "preprocess"},
    "gate": {"validate", "train", "evaluate", "convert", "parity", "serving"},
    "save": {"fetch", "gate", "validate", "preprocess", "train", "evaluate", "convert", "parity", "serving"},
}


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    target = tmp_path_factory.mktemp("ir") / "pipeline.yaml"
    compile_pipeline(target, IMAGE)
    return list(yaml.load_all(target.read_bytes(), Loader=yaml.CSafeLoader))


@pytest.fixture(scope="module")
def tasks(documents):
    return documents[0]["root"]["dag"]["tasks"]


@pytest.fixture(scope="module")
def containers(documents):
    executors = documents[0]["deploymentSpec"]["executors"]
    return {name.removeprefix("exec-"): entry["container"] for name, entry in executors.items()}


@pytest.mark.slow
def test_two_compiles_in_two_processes_give_the_same_bytes(tmp_path):
    for name, seed in (("a.yaml", "1"), ("b.yaml", "2")):
        command = [sys.executable, "-m", "ml.cli", "compile", "-o", str(tmp_path / name), "--image", IMAGE]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": seed})
    assert (tmp_path / "a.yaml").read_bytes() == (tmp_path / "b.yaml").read_bytes()


def test_the_graph_is_the_designs(tasks):
    assert {name: set(task.get("dependentTasks", [])) for name, task in tasks.items()} == GRAPH


def test_every_step_runs_in_the_given_image_and_the_evidence_says_so(documents, containers):
    assert {container["image"] for container in containers.values()} == {IMAGE}
    parameters = documents[0]["root"]["inputDefinitions"]["parameters"]
    assert parameters["image"]["defaultValue"] == IMAGE


@pytest.mark.parametrize("image", ["jukebox:latest", "jukebox@sha256:abc", "a b@sha256:" + "a" * 64])
def test_an_image_without_a_digest_is_refused(tmp_path, image):
    with pytest.raises(UsageError, match="by digest"):
        compile_pipeline(tmp_path / "p.yaml", image)
    assert not (tmp_path / "p.yaml").exists()


def test_each_body_is_one_import_and_one_call_and_installs_nothing(documents, containers):
    assert not re.search(r"\bpip3?\b", yaml.safe_dump_all(documents))
    for name, container in containers.items():
        source = container["command"][-1]
        (function,) = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
        assert [type(node) for node in function.body[1:]] == [ast.ImportFrom, ast.Expr], name
        assert isinstance(function.body[2].value, ast.Call), name


def test_the_cache_answers_for_another_commit_or_run_but_not_for_a_verdict_other_data_or_champion(tasks):
    cached = {name for name, task in tasks.items() if task["cachingOptions"].get("enableCache")}
    assert cached == set(GRAPH) - {"gate", "save"}
    own = {"commit", "dirty", "nonce", "evidence_uri", "policy", "run_id"}
    inputs = {name: set(task["inputs"].get("parameters", {})) for name, task in tasks.items()}
    assert {name for name, given in inputs.items() if own & given} <= {"gate"}
    assert "data_version" in inputs["fetch"]
    assert all("champion" in inputs[name] for name in ("champion", "evaluate"))


def test_training_reads_nothing_of_validation(tasks):
    """What validation writes changes with the champion, and would have the same data trained on again."""
    sources = {
        source["taskOutputArtifact"]["producerTask"]
        for source in tasks["train"]["inputs"]["artifacts"].values()
    }
    assert sources == {"preprocess"}


def test_what_reads_tables_and_store_is_tried_again_and_no_step_that_decides(tasks):
    retried = {name for name, task in tasks.items() if task.get("retryPolicy", {}).get("maxRetryCount")}
    assert retried == {"champion", "fetch"}


def test_every_step_has_resources_and_a_timeout(documents, containers):
    limits = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for name, bound in default_bounds().items():
        given = {
            "resourceCpuRequest": bound.cpu,
            "resourceCpuLimit": bound.cpu_limit,
            "resourceMemoryRequest": bound.memory,
            "resourceMemoryLimit": bound.memory_limit,
        }
        assert given.items() <= containers[name]["resources"].items()
        assert limits[f"exec-{name}"]["activeDeadlineSeconds"] == str(60 * bound.minutes)


def test_a_node_of_two_cores_has_room_for_each_step():
    """The pods of Kubernetes, Tekton and a DSPA together request 1.9 CPUs of such a node."""
    assert all(bound.cpu.endswith("m") for bound in default_bounds().values())
    assert max(int(bound.cpu.removesuffix("m")) for bound in default_bounds().values()) <= 100


def test_the_gate_stands_at_the_root_outside_any_condition(documents, tasks):
    """An exit handler or an untaken condition could turn a blocked run into SUCCEEDED."""
    kinds = {name: set(component) for name, component in documents[0]["components"].items()}
    assert not any("dag" in kind for kind in kinds.values())
    assert not any("triggerPolicy" in task for task in tasks.values())


@pytest.mark.parametrize("text", ["", "{", "root: {inputDefinitions: 3}"])
def test_a_file_that_is_no_pipeline_is_refused(tmp_path, text):
    path = tmp_path / "other.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match="not a pipeline"):
        require_pipeline(path)

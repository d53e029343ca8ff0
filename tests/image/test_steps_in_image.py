"""The pipeline in the component image, restricted as on OpenShift: the same verdict, the same model."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command import jukebox
from image.workshop import RESTRICTED, ROOT

from ml.gate.evidence import read_evidence
from ml.pipeline.bounds import default_bounds
from ml.release.judgement import judge, prove
from ml.release.policy_file import POLICY_FILE
from ml.release.store import ModelStore

HARDENED = """
import os, pathlib, socket
status = dict(l.split(':', 1) for l in pathlib.Path('/proc/self/status').read_text().splitlines())
print(os.getuid(), os.getgid(), *(status[name].strip() for name in ('CapEff', 'CapBnd', 'NoNewPrivs')))
print([name for _, name in socket.if_nameindex()])
print([place for place in ('/', '/opt/jukebox', '/var/tmp', '/home', '/tmp') if os.access(place, os.W_OK)])
import keras
print(os.listdir('/tmp'))
"""


@pytest.fixture(scope="module")
def inside(workshop, images, finished_run) -> Path:
    """The folder of a run in containers with the parameters of the finished run."""
    folder, image = workshop.folder / "inside", images["component"]["by_digest"]
    (folder / "store").mkdir(parents=True)
    compiled = jukebox("compile", "-o", folder / "pipeline.yaml", "--image", image, cwd=folder)
    assert compiled.returncode == 0, compiled.stderr
    parameters = json.loads(finished_run.evidence.with_name("parameters.json").read_text())
    places = {"store_uri": str(folder / "store"), "evidence_uri": str(folder / "evidence.json")}
    (folder / "parameters.json").write_text(json.dumps({**parameters, **places, "image": image}))
    (folder / POLICY_FILE).write_text(finished_run.evidence.with_name(POLICY_FILE).read_text())
    for path in (folder, folder / "store"):
        path.chmod(0o2775)
    command = [sys.executable, str(Path(__file__).with_name("docker_run.py")), str(folder)]
    with open(folder / "run.log", "wb") as log:
        done = subprocess.run(command, env=workshop.env, cwd=ROOT, stdout=log, stderr=log, check=False)
    assert done.returncode == 0, (folder / "run.log").read_text()[-3000:]
    return folder


def test_every_step_ran_in_the_image_with_the_verdict_and_the_model_of_outside(inside, finished_run):
    events = [json.loads(line) for line in (inside / "events.jsonl").read_text().splitlines()]
    assert {event["step"] for event in events if event["event"] == "end"} == set(default_bounds())
    files = (inside / "evidence.json", finished_run.evidence)
    ours, theirs = (read_evidence(path.read_bytes()) for path in files)
    assert ours.verdict.passed
    decided = [[(check.name, check.passed) for check in one.verdict.checks] for one in (ours, theirs)]
    assert decided[0] == decided[1]
    assert ours.files["model.onnx"] == theirs.files["model.onnx"]


def test_the_evidence_proves_the_candidate_that_the_containers_stored(inside):
    parameters = json.loads((inside / "parameters.json").read_text())
    data = (inside / "evidence.json").read_bytes()
    expected = {"nonce": parameters["nonce"], "image": parameters["image"]}
    assert judge(data, "evidence", expected, (inside / POLICY_FILE).read_text()).verdict.passed
    assert prove(ModelStore(str(inside / "store")), read_evidence(data)).candidate


def test_the_containers_of_these_tests_are_restricted_and_keras_loads_in_them(workshop, images):
    command = ("python3", "-c", HARDENED)
    ended = workshop.run(images["component"]["by_digest"], *command, environment={"HOME": "/nowhere"})
    user = f"{RESTRICTED['user'].partition(':')[0]} 0 {'0' * 16} {'0' * 16} 1"
    assert ended.stdout.splitlines() == [user, "['lo']", "['/tmp']", "['.keras']"], ended.stderr

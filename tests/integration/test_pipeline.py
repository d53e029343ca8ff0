"""The whole pipeline as a user runs it: from the compiled IR to a promoted model, twice the same."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from command import SAMPLE, jukebox
from tiers import SLOW

from ml.core.files import file_digest, read_json
from ml.gate.evidence import read_evidence


@pytest.fixture
def home(finished_run, tmp_path) -> Path:
    """A copy of the finished run's folder, to promote in."""
    shutil.copytree(finished_run.home / ".jukebox" / "store", tmp_path / ".jukebox" / "store")
    return tmp_path


def test_each_kind_of_slice_is_measured(finished_run):
    slices = read_json(finished_run.evidence)["reports"]["evaluation"]["slices"]["slices"]
    names = {part["name"] for part in slices if part["examples"] >= 10}
    assert {"country=BR", "explicit=yes", "explicit=no", "decade=2010s", "decade=2020s"} <= names
    assert {"released=this year", "released=earlier"} <= names


def test_every_step_reports_its_time_memory_and_number(finished_run):
    steps = {step["step"]: step for step in finished_run.result["steps"]}
    assert next(iter(steps)) in ("champion", "fetch")
    assert list(steps)[-2:] == ["gate", "save"]
    assert len(steps) == 11
    assert steps["champion"]["headline"] == "no champion: absolute checks only"
    assert "no champion: absolute checks only" in steps["evaluate"]["headline"]
    assert all(step["headline"] and step["peak_mb"] > 1 for step in steps.values())


def test_the_evidence_is_bound_to_what_the_run_made(finished_run):
    evidence = read_evidence(finished_run.evidence.read_bytes())
    assert evidence.files["model.onnx"].digest == file_digest(
        finished_run.artifact("convert", "onnx_model.onnx")
    )
    assert evidence.files["model.keras"].digest == file_digest(finished_run.artifact("train", "model.keras"))
    assert evidence.reports["data_report"]["synthetic"] is True
    assert evidence.subject.champion == ""
    assert evidence.reports["evaluation"]["champion"] is None
    assert len(evidence.subject.nonce) == 32
    assert evidence.subject.run_id == finished_run.result["run"] == finished_run.evidence.parent.name


@SLOW
def test_the_same_data_and_lock_give_the_same_onnx_digest(finished_run, tmp_path):
    """Train and convert once more, each in a process of its own, from the run's own splits."""
    subject = read_json(finished_run.evidence)["subject"]
    lineage = {name: subject[name] for name in ("model_name", "model_version", "data_version")}
    train, val, test = (
        str(finished_run.artifact("preprocess", f"{name}_split.parquet")) for name in ("train", "val", "test")
    )
    labels = str(finished_run.artifact("preprocess", "labels.json"))
    keras, onnx = str(tmp_path / "m.keras"), str(tmp_path / "m.onnx")
    scripts = [
        "from ml.pipeline.training import train; from ml.problem import load_solution\n"
        f"train(load_solution(), {train!r}, {val!r}, {keras!r}, {str(tmp_path / 'h.json')!r}, {{}})",
        "from ml.onnx.conversion import convert; from ml.problem import load_solution\n"
        f"convert(load_solution(), {keras!r}, {test!r}, {labels!r}, {onnx!r}, "
        f"{str(tmp_path / 'r.parquet')!r}, {str(tmp_path / 's.json')!r}, {lineage!r})",
    ]
    for script in scripts:
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    assert file_digest(onnx) == file_digest(finished_run.artifact("convert", "onnx_model.onnx"))


def test_promote_serves_the_model_and_again_is_a_no_op(home, finished_run):
    candidate = finished_run.result["candidate"]
    first = jukebox("promote", candidate[:10], cwd=home, env=finished_run.policy)
    assert first.returncode == 0, first.stderr
    assert "promoted:  number 1" in first.stdout
    assert "synthetic" in first.stdout
    served = home / ".jukebox/store/serving/jukebox/1/model.onnx"
    assert file_digest(served) == file_digest(finished_run.artifact("convert", "onnx_model.onnx"))
    again = jukebox("promote", candidate, cwd=home, env=finished_run.policy)
    assert again.returncode == 0
    assert "nothing to do" in again.stdout
    assert len(list((home / ".jukebox/store/promotions").iterdir())) == 1
    shown = jukebox("models", cwd=home)
    assert candidate[:12] in shown.stdout
    assert "in production" in shown.stdout
    assert "synthetic data" in shown.stdout
    back = jukebox("rollback", cwd=home)
    assert back.returncode == 40
    assert "no earlier model" in back.stderr


def test_gate_decides_the_same_from_the_file(finished_run):
    done = jukebox("gate", finished_run.evidence, "--json", cwd=finished_run.home, env=finished_run.policy)
    assert done.returncode == 0
    assert json.loads(done.stdout)["checks"] == finished_run.result["checks"]


@SLOW
def test_a_model_that_learns_nothing_is_blocked_and_the_evidence_says_why(tmp_path):
    """A real run of a poor model: exit code 10, the evidence is there, nothing is stored."""
    hyper = ["--param", "epochs=1", "--param", "learning_rate=1e-9"]
    done = jukebox("run", "--data", SAMPLE, *hyper, "--json", cwd=tmp_path)
    assert done.returncode == 10, done.stderr
    assert "evaluation.gain_over_prior" in done.stderr
    assert "Traceback" not in done.stderr
    result = json.loads(done.stdout)
    evidence = read_evidence(Path(result["evidence"]).read_bytes())
    assert evidence.verdict.passed is False
    assert [path.name for path in (tmp_path / ".jukebox").iterdir() if path.name != "runs"] == [
        "sample-store"
    ]
    assert list((tmp_path / ".jukebox/sample-store").iterdir()) == []


@SLOW
def test_run_runs_the_compiled_ir_and_nothing_beside_it(tmp_path):
    """An IR whose validate was edited does what the IR says, not what the module says."""
    assert jukebox("compile", "-o", "pipeline.yaml", cwd=tmp_path).returncode == 0
    path = tmp_path / "pipeline.yaml"
    documents = list(yaml.safe_load_all(path.read_text()))
    command = documents[0]["deploymentSpec"]["executors"]["exec-validate"]["container"]["command"]
    command[-1] = command[-1].replace("steps.validate(", "raise SystemExit('edited IR'); steps.validate(")
    path.write_text(yaml.safe_dump_all(documents))
    done = jukebox("run", "--pipeline", path, "--json", cwd=tmp_path)
    assert done.returncode == 20
    (log,) = (tmp_path / ".jukebox/runs").glob("*/run.log")
    assert "edited IR" in log.read_text()

"""A second run is compared with the model that the first put into production; all of them are real runs."""

import json
import shutil
from pathlib import Path

import pytest
from command import SAMPLE, jukebox, unhurried
from tiers import SLOW

from ml.core.files import file_digest
from ml.gate.evidence import Evidence, read_evidence
from ml.release.store import ModelStore

pytestmark = SLOW


@pytest.fixture
def home(finished_run, tmp_path) -> Path:
    """A place where the finished run's candidate is in production."""
    shutil.copytree(finished_run.home / ".jukebox" / "store", tmp_path / ".jukebox" / "store")
    promoted = jukebox("promote", finished_run.result["candidate"], cwd=tmp_path, env=unhurried(tmp_path))
    assert promoted.returncode == 0, promoted.stderr
    return tmp_path


def run(home: Path, *hyper: object) -> tuple[int, str, dict]:
    where = "--data", SAMPLE, "--store", ".jukebox/store"
    done = jukebox("run", *where, *hyper, "--json", cwd=home, env=unhurried(home))
    return done.returncode, done.stderr, json.loads(done.stdout or "{}")


def evidence_of(result: dict) -> Evidence:
    return read_evidence(Path(result["evidence"]).read_bytes())


def test_a_model_as_good_as_the_champion_is_compared_with_it_and_follows_it(home, finished_run):
    code, errors, result = run(home, "--param", "seed=8")
    assert code == 0, errors
    champion = finished_run.result["candidate"]
    evidence = evidence_of(result)
    assert evidence.subject.champion == champion
    found = evidence.reports["evaluation"]["champion"]
    onnx = finished_run.artifact("convert", "onnx_model.onnx")
    assert (found["champion"], found["onnx_digest"]) == (champion, file_digest(onnx))
    shared = found["shared"]
    # The same data: the champion scores on the same songs what it scored as a candidate, in Keras.
    before = evidence_of(finished_run.result).reports["evaluation"]
    assert (shared["examples"], shared["rows"]) == (before["examples"], before["rows"])
    assert (shared["examples_left_out"], shared["rows_left_out"], shared["features"]) == (0, 0, 13)
    for name in ("log_loss", "top5_mass", "hit_at_5"):
        assert shared[name]["champion"] == pytest.approx(before["model"][name]["value"], abs=1e-5)
    assert shared["log_loss"]["difference"]["value"] != 0
    (headline,) = (step["headline"] for step in result["steps"] if step["step"] == "evaluate")
    assert f"beside champion {champion[:12]}" in headline
    log = ModelStore(str(home / ".jukebox" / "store")).log()
    assert [entry.champion for entry in log] == ["", champion]


def test_a_model_worse_than_the_champion_is_blocked_though_it_passes_alone(home):
    code, errors, result = run(home, "--param", "epochs=20")
    assert code == 10, errors
    verdict = evidence_of(result).verdict
    failures = {check.name: check.reason for check in verdict.failures}
    assert all(name.startswith("champion.") for name in failures)
    assert "not shown to be within 0.05 of the champion" in failures["champion.log_loss.not_worse"]
    assert "champion.log_loss.not_worse" in errors
    assert len(ModelStore(str(home / ".jukebox" / "store")).log()) == 1


def test_a_champion_that_was_changed_in_the_store_ends_the_run_before_anything_is_judged(home, finished_run):
    model = home / ".jukebox" / "store" / "promoted" / finished_run.result["candidate"] / "model.onnx"
    model.chmod(0o600)
    model.write_bytes(model.read_bytes()[:-1] + b"\0")
    code, errors, _ = run(home)
    assert code == 20
    assert "champion failed: " in errors
    assert "model.onnx is missing or was changed" in errors
    assert errors.count("\n") == 1
    (events,) = (home / ".jukebox" / "runs").glob("*/events.jsonl")
    steps = {json.loads(line)["step"] for line in events.read_text().splitlines()}
    assert "champion" in steps
    assert not steps & {"evaluate", "gate", "save"}

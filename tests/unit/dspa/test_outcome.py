"""Only SUCCEEDED together with evidence that proves itself is a pass."""

import json
import shutil
from pathlib import Path
from threading import Thread

import pytest
from candidates import overwrite, paths, store_run
from dspa_server import PROFILES, Script
from reports import STRICT
from submissions import pipeline

from ml.core.canonical import digest
from ml.core.errors import EvidenceError, GateBlocked, PlatformError, RunFailed
from ml.dspa.outcome import MOST
from ml.release.store import ModelStore

BROKEN = "parity.served.test.worst_ratio"
FAILED = Script(final="FAILED", failed_task="save")


def test_a_pass_is_reported_in_full(here):
    passed = here.submit()
    (run,) = here.runs()
    data = here.evidence_of(run).read_bytes()
    about = json.loads(data)["subject"]
    store = ModelStore(str(here.store))
    assert [passed.candidate] == store.candidates()
    told = passed.to_json()
    checks, claimed = told.pop("checks"), told.pop("claimed")
    assert claimed.pop("pipeline_digest") == pipeline().digest
    assert claimed == {name: about[name] for name in claimed}
    assert told == {
        "run_id": run.run_id,
        "run": run.display_name,
        "state": "SUCCEEDED",
        "link": f"{here.dspa.url}/apis/v2beta1/runs/{run.run_id}",
        "evidence": str(here.evidence_of(run)),
        "evidence_digest": digest(data),
        "candidate": passed.candidate,
        "model_uri": f"{here.store}/candidates/{passed.candidate}/model.onnx",
        "model_digest": digest(store.read_candidate(passed.candidate)["model.onnx"]),
        "commit": about["commit"],
        "dirty": about["dirty"],
        "passed": True,
    }
    assert checks == json.loads(data)["verdict"]["checks"]
    assert digest(Path(passed.model_uri).read_bytes()) == passed.model_digest
    # A follower did not submit the run, and does not know what it claims.
    assert here.follow(passed.run_id) == passed.model_copy(update={"claimed": None})


@pytest.mark.parametrize(
    ("script", "broken", "message"),
    [
        (Script(), BROKEN, f"inconsistent.*is SUCCEEDED.*{BROKEN}"),
        (FAILED, "", "inconsistent: .* passes, but a step after the gate failed: save"),
        (FAILED, BROKEN, f"the gate blocked the model .{BROKEN}."),
    ],
    ids=["succeeded", "passes", "both"],
)
def test_a_failed_run_or_evidence_that_blocks_is_blocked(here, script, broken, message):
    here.dspa.script = script
    here.leaving(broken)
    error = here.ends_in(GateBlocked, message)
    assert (error.exit_code, error.details["state"], error.details["passed"]) == (10, script.final, False)
    failed = [check["name"] for check in error.details["checks"] if not check["passed"]]
    assert failed == ([broken] if broken else [])
    assert error.details["evidence_digest"].startswith("sha256:")


@pytest.mark.parametrize("profile", PROFILES)
def test_a_run_that_failed_without_evidence_names_the_failed_task(here, profile):
    here.dspa.profile, here.dspa.on_finish = profile, None
    here.dspa.script = Script(final="FAILED", failed_task="train", running=9)
    message = "failed before it wrote evidence: train"
    error = here.ends_in(RunFailed, message)
    assert error.exit_code == 20
    with pytest.raises(RunFailed, match=message):
        here.follow(error.details["run_id"])


def test_a_run_that_succeeded_without_evidence_is_no_pass(here):
    here.dspa.on_finish = None
    error = here.ends_in(EvidenceError, "succeeded, but there is no evidence at")
    assert error.exit_code == 40
    assert error.details["evidence"].endswith(f"/{error.details['run_id']}.json")
    with pytest.raises(PlatformError, match=r"not done within 1\.5 s"):
        here.submit(deadline=1.5, evidence=60)


def test_late_evidence_is_waited_for(here):
    def later() -> None:
        # The third list is requested after the end of the run.
        here.dspa.wait(lambda dspa: here.count("list_runs") == 3)
        (run,) = here.runs()
        files = here.files(run)
        store_run(ModelStore(str(here.store)), files)
        (here.home / "evidence.json").write_bytes(files["evidence.json"])
        here.evidence_of(run).parent.mkdir(parents=True, exist_ok=True)
        (here.home / "evidence.json").replace(here.evidence_of(run))

    here.dspa.on_finish = None
    thread = Thread(target=later)
    thread.start()
    assert here.submit(evidence=20).verdict.passed
    thread.join()


@pytest.mark.parametrize(("name", "value"), [("run_id", "another-run"), ("nonce", "0" * 32), ("dirty", True)])
def test_evidence_about_something_else_is_refused_and_the_field_named(here, name, value):
    here.leaving(**{name: value})
    error = here.ends_in(EvidenceError, f"{name} is {value!r} in the evidence, expected ")
    assert (bool(error.details["evidence"]), error.details["passed"]) == (True, False)


def model_of_other_bytes(here, run):
    files = here.files(run)
    here.write_evidence(run, files["evidence.json"])
    store_run(ModelStore(str(here.store)), {**files, "model.onnx": b"another graph"})


def evidence_only(here, run):
    here.write_evidence(run, here.files(run)["evidence.json"])


@pytest.mark.parametrize("leave", [model_of_other_bytes, evidence_only])
def test_evidence_about_a_model_that_is_not_in_the_store_is_refused(here, leave):
    here.dspa.on_finish = lambda run: leave(here, run)
    error = here.ends_in(EvidenceError, "there is no candidate")
    assert error.details["evidence_digest"].startswith("sha256:")
    assert error.details["checks"]


def test_evidence_that_is_not_canonical_is_refused(here):
    def garble(run):
        here.leave(run)
        here.write_evidence(run, here.files(run)["evidence.json"] + b"\n")

    here.dspa.on_finish = garble
    here.ends_in(EvidenceError, "canonical")


def test_evidence_above_the_limit_is_not_read_and_the_run_is_not_said_to_continue(here):
    def bloat(run):
        here.leave(run)
        with open(here.evidence_of(run), "r+b") as file:
            file.truncate(MOST + 1)

    here.dspa.on_finish = bloat
    error = here.ends_in(PlatformError, f"has {MOST + 1} bytes, more than {MOST}")
    assert (error.exit_code, "continues" in str(error)) == (30, False)


def test_a_candidate_with_a_changed_file_is_refused(here):
    def spoil(run):
        here.leave(run)
        (path,) = (path for path in paths(str(here.store)) if path.endswith("served.json"))
        overwrite(str(here.store), path, b"{}")

    here.dspa.on_finish = spoil
    here.ends_in(EvidenceError, "candidate")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_place_of_evidence_that_cannot_be_read_is_a_platform_error(here, monkeypatch, when):
    for name, value in {"ENDPOINT_URL": "http://127.0.0.1:9", "REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{name}", "test")
    submission = here.submission(evidence_uri="s3://nowhere/evidence/{run_id}.json")
    here.dspa.on_finish = None
    if when == "before":
        with pytest.raises(PlatformError, match="s3://nowhere/evidence"):
            here.submit(submission, storage=0.2)
        assert here.runs() == []
        return
    run = here.begin(submission)
    with pytest.raises(PlatformError, match="s3://nowhere/evidence") as caught:
        here.follow(run.run_id, storage=0.2, evidence=0.2)
    assert (caught.value.exit_code, caught.value.details["run_id"]) == (30, run.run_id)


def test_a_file_in_the_place_of_the_evidence_folder_is_no_evidence(here):
    folder = here.home / "evidence"
    here.dspa.on_finish = lambda run: (shutil.rmtree(folder), folder.write_text("in the way"))
    assert here.ends_in(EvidenceError, "evidence").exit_code == 40


def test_a_run_that_jukebox_did_not_start_is_not_followed(here):
    run = here.dspa.runs[here.begin().run_id]
    name, run.display_name = run.display_name, "somebody's run"
    with pytest.raises(EvidenceError, match="was not started by `jukebox submit`"):
        here.follow(run.run_id)
    run.display_name = name
    del run.parameters["nonce"]
    with pytest.raises(EvidenceError, match="it has no nonce"):
        here.follow(run.run_id)


def test_our_policy_decides_not_the_one_that_the_run_had(here):
    with pytest.raises(GateBlocked, match=r"evaluation\.examples"):
        here.submit(here.submission(policy=STRICT))

"""Only SUCCEEDED together with evidence that proves itself is a pass."""

import functools
import json
from pathlib import Path
from threading import Thread

import pytest
from candidates import overwrite, paths, store_run
from dspa_server import Script
from reports import STRICT
from submissions import nth, pipeline

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
    assert any(line.endswith(passed.link) for line in here.said)
    # A follower did not submit the run, and does not know what it claims.
    assert here.follow(passed.run_id) == passed.model_copy(update={"claimed": None})


@pytest.mark.parametrize(
    ("script", "broken", "error", "message"),
    [
        (Script(), BROKEN, GateBlocked, f"inconsistent.*is SUCCEEDED.*{BROKEN}"),
        (FAILED, "", GateBlocked, "inconsistent: .* passes, but a step after the gate failed: save"),
        (FAILED, BROKEN, GateBlocked, f"the gate blocked the model .{BROKEN}."),
        (Script(final="CANCELED"), "", RunFailed, "was cancelled"),
        (Script(final="SKIPPED"), "", RunFailed, "was skipped: nothing"),
    ],
)
def test_a_run_that_failed_or_evidence_that_blocks_is_no_pass(here, script, broken, error, message):
    here.dspa.script = script
    here.dspa.on_finish = functools.partial(here.leave, broken=broken)
    ended = here.ends_in(error, message)
    assert (ended.details["state"], ended.details["passed"]) == (script.final, False)
    assert here.evidence_of(here.runs()[0]).exists()
    if error is GateBlocked:
        failed = [check["name"] for check in ended.details["checks"] if not check["passed"]]
        assert failed == ([broken] if broken else [])
        assert ended.details["evidence_digest"].startswith("sha256:")


def test_a_run_that_succeeded_without_evidence_is_no_pass(here):
    here.dspa.on_finish = None
    error = here.ends_in(EvidenceError, "succeeded, but there is no evidence at")
    assert error.exit_code == 40
    assert error.details["evidence"].endswith(f"/{error.details['run_id']}.json")
    here.dspa.fault = nth("list_runs", {2: here.expire})
    with pytest.raises(PlatformError, match="not done within 20 s"):
        here.submit(evidence=60)


def test_late_evidence_is_waited_for(here):
    def later() -> None:
        # The third list is requested after the end of the run.
        here.dspa.wait(lambda dspa: here.count("list_runs") == 3)
        here.leave(here.runs()[0])

    here.dspa.on_finish = None
    thread = Thread(target=later)
    thread.start()
    assert here.submit(evidence=20).verdict.passed
    thread.join()


def evidence_only(here, run) -> None:
    here.write_evidence(run, here.files(run)["evidence.json"])


def other_model(here, run) -> None:
    store_run(ModelStore(str(here.store)), {**here.files(run), "model.onnx": b"another graph"})
    evidence_only(here, run)


def not_canonical(here, run) -> None:
    here.leave(run)
    here.write_evidence(run, here.files(run)["evidence.json"] + b"\n")


def changed_file(here, run) -> None:
    here.leave(run)
    (path,) = (path for path in paths(str(here.store)) if path.endswith("served.json"))
    overwrite(str(here.store), path, b"{}")


def another(name: str, value: object):
    return lambda here, run: here.leave(run, **{name: value})


@pytest.mark.parametrize(
    ("leave", "message"),
    [
        (another("run_id", "another-run"), "run_id is 'another-run' in the evidence, expected "),
        (another("nonce", "0" * 32), f"nonce is '{'0' * 32}' in the evidence, expected "),
        (another("dirty", True), "dirty is True in the evidence, expected "),
        (other_model, "there is no candidate"),
        (evidence_only, "there is no candidate"),
        (not_canonical, "canonical"),
        (changed_file, "candidate"),
    ],
)
def test_evidence_that_does_not_prove_a_candidate_of_this_run_is_refused(here, leave, message):
    here.dspa.on_finish = lambda run: leave(here, run)
    error = here.ends_in(EvidenceError, message)
    assert (bool(error.details["evidence"]), error.details["passed"]) == (True, False)


def test_evidence_above_the_limit_is_not_read_and_the_run_is_not_said_to_continue(here):
    here.dspa.on_finish = lambda run: here.write_evidence(run, bytes(MOST + 1))
    error = here.ends_in(PlatformError, f"has {MOST + 1} bytes, more than {MOST}")
    assert "continues" not in str(error)


def test_places_that_cannot_be_read_are_a_platform_error(here, monkeypatch):
    for name, value in {"ENDPOINT_URL": "http://127.0.0.1:9", "REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{name}", "test")
    submission = here.submission(evidence_uri="s3://nowhere/evidence/{run_id}.json")
    with pytest.raises(PlatformError, match="s3://nowhere/evidence"):
        here.submit(submission, storage=0.2)
    assert here.runs() == []
    here.dspa.on_finish = None
    run = here.begin(submission)
    with pytest.raises(PlatformError, match="s3://nowhere/evidence") as caught:
        here.follow(run.run_id, storage=0.2, evidence=0.2)
    assert (caught.value.exit_code, caught.value.details["run_id"]) == (30, run.run_id)


def test_a_run_that_jukebox_did_not_start_is_not_followed(here):
    run = here.dspa.runs[here.begin().run_id]
    del run.parameters["nonce"]
    with pytest.raises(EvidenceError, match="it has no nonce"):
        here.follow(run.run_id)
    run.display_name = "somebody's run"
    with pytest.raises(EvidenceError, match="was not started by `jukebox submit`"):
        here.follow(run.run_id)


def test_our_policy_decides_not_the_one_that_the_run_had(here):
    with pytest.raises(GateBlocked, match=r"evaluation\.examples"):
        here.submit(here.submission(policy=STRICT))

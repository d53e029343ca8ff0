"""What came of a run: only SUCCEEDED together with evidence that proves itself is a pass."""

import json
import os
import shutil
from pathlib import Path
from threading import Thread

import pytest
from candidates import delete, overwrite, paths, store_run
from dspa_server import Script
from reports import POLICY, STRICT, edited
from submissions import World, pipeline, world

from ml.core.canonical import digest
from ml.core.errors import EvidenceError, GateBlocked, JukeboxError, PlatformError, RunFailed
from ml.dspa.outcome import MOST
from ml.release.store import ModelStore

BROKEN = "parity.served.test.worst_ratio"
LOOSE = json.dumps(edited(json.loads(POLICY), {"evaluation.min_songs": 1}))
FAILED = Script(final="FAILED", failed_task="save")
OTHERS = {
    "run_id": "another-run",
    "nonce": "0" * 32,
    "model_name": "another",
    "model_version": "2",
    "commit": "0" * 40,
    "dirty": True,
    "image": "localhost/jukebox@" + digest(b"another image"),
    "data_version": "0000000000000000",
    "champion": "c" * 64,
}
"""Another value for each field of the evidence's subject."""


@pytest.fixture
def here(tmp_path):
    with world(tmp_path) as found:
        yield found


def ends_in(here: World, error: type[JukeboxError], message: str, **options) -> JukeboxError:
    """Submit, and check that it ends in an error that says which run it is about."""
    with pytest.raises(error, match=message) as caught:
        here.submit(**options)
    assert type(caught.value) is error
    (run,) = here.runs()
    assert caught.value.details["run_id"] == run.run_id
    assert not caught.value.details.get("candidate")
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_run_that_succeeded_with_evidence_that_passes_is_found_in_full(here):
    found = here.submit()
    (run,) = here.runs()
    data = here.evidence_of(run).read_bytes()
    store = ModelStore(str(here.store))
    assert [found.candidate] == store.candidates()
    assert found.verdict.passed
    told = found.to_json()
    checks, claimed = told.pop("checks"), told.pop("claimed")
    about = json.loads(data)["subject"]
    assert claimed.pop("pipeline_digest") == pipeline().digest
    assert claimed == {name: about[name] for name in claimed}
    assert told == {
        "run_id": run.run_id,
        "run": run.display_name,
        "state": "SUCCEEDED",
        "link": f"{here.dspa.url}/apis/v2beta1/runs/{run.run_id}",
        "evidence": str(here.evidence_of(run)),
        "evidence_digest": digest(data),
        "candidate": found.candidate,
        "model_uri": f"{here.store}/candidates/{found.candidate}/model.onnx",
        "model_digest": digest(store.read_candidate(found.candidate)["model.onnx"]),
        "commit": json.loads(data)["subject"]["commit"],
        "dirty": json.loads(data)["subject"]["dirty"],
        "passed": True,
    }
    assert checks == json.loads(data)["verdict"]["checks"]
    assert digest(Path(found.model_uri).read_bytes()) == found.model_digest


def test_a_run_that_succeeded_with_evidence_that_blocks_is_inconsistent(here):
    here.leaving(BROKEN)
    error = ends_in(here, GateBlocked, f"inconsistent.*SUCCEEDED.*{BROKEN}")
    assert error.exit_code == 10
    assert not error.details["passed"]
    assert [check["name"] for check in error.details["checks"] if not check["passed"]] == [BROKEN]


def test_a_run_that_failed_with_evidence_that_passes_is_inconsistent(here):
    here.dspa.script = FAILED
    error = ends_in(here, GateBlocked, "inconsistent: .* passes, but a step after the gate failed: save")
    assert error.details["state"] == "FAILED"
    assert not error.details["passed"]


def test_a_run_that_failed_with_evidence_that_blocks_is_blocked_by_the_gate(here):
    here.dspa.script = FAILED
    here.leaving(BROKEN)
    error = ends_in(here, GateBlocked, f"the gate blocked the model .{BROKEN}.")
    assert error.details["evidence_digest"].startswith("sha256:")


@pytest.mark.parametrize("profile", ["2.5", "2.16", "next"])
def test_a_run_that_failed_without_evidence_names_the_task_that_failed(here, profile):
    here.dspa.profile = profile
    here.dspa.script = Script(final="FAILED", failed_task="train", running=9)
    here.dspa.on_finish = None
    ends_in(here, RunFailed, "failed before it wrote evidence: train")


def test_a_run_that_failed_and_is_picked_up_later_names_the_task_that_failed(here):
    here.dspa.script = Script(final="FAILED", failed_task="train", running=9)
    here.dspa.on_finish = None
    error = ends_in(here, RunFailed, "failed before it wrote evidence: train")
    assert error.exit_code == 20
    with pytest.raises(RunFailed, match="failed before it wrote evidence: train"):
        here.follow(error.details["run_id"])


def test_a_run_that_succeeded_without_evidence_is_not_believed(here):
    here.dspa.on_finish = None
    error = ends_in(here, EvidenceError, "succeeded, but there is no evidence at")
    assert error.exit_code == 40
    assert error.details["evidence"].endswith(f"/{error.details['run_id']}.json")


def test_evidence_that_comes_late_is_waited_for(here):
    def later() -> None:
        # The third list is asked for when the run has ended: the evidence is written after that.
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


@pytest.mark.parametrize("name", OTHERS)
def test_evidence_that_is_about_something_else_is_refused_and_the_field_named(here, name):
    here.leaving(**{name: OTHERS[name]})
    error = ends_in(here, EvidenceError, f"{name} is {OTHERS[name]!r} in the evidence, expected ")
    assert error.details["evidence"]
    assert not error.details["passed"]


def test_evidence_of_another_run_of_the_same_attempt_is_refused(here):
    def copy(run):
        here.leave(run, run_id="40564379-the-run-before")

    here.dspa.on_finish = copy
    ends_in(here, EvidenceError, "run_id is '40564379-the-run-before'")


def test_evidence_about_another_model_than_the_stored_one_is_refused(here):
    def swap(run):
        files = here.files(run)
        here.write_evidence(run, files["evidence.json"])
        store_run(ModelStore(str(here.store)), {**files, "model.onnx": b"another graph"})

    here.dspa.on_finish = swap
    ends_in(here, EvidenceError, "there is no candidate")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda data: b"", "not evidence"),
        (lambda data: data[: len(data) // 2], "not evidence"),
        (lambda data: b"\xff" + data, "not evidence"),
        (lambda data: b"[" * 100_000, "not evidence: nested too deeply"),
        (lambda data: data.replace(b'"bound":0.0,', b'"bound":NaN,', 1), "not evidence: NaN"),
        (lambda data: data.replace(b'{"decided_on"', b'{"decided_on":"","decided_on"', 1), "stands twice"),
        (lambda data: data + b"\n", "canonical"),
        (lambda data: json.dumps(json.loads(data), sort_keys=True).encode(), "canonical"),
        (lambda data: data.replace(b'"bound":0.0,', b'"bound":0.00,', 1), "canonical"),
    ],
    ids=["empty", "half", "bytes", "deep", "nan", "twice", "newline", "spaced", "zeros"],
)
def test_evidence_that_is_garbled_or_not_canonical_is_refused(here, edit, message):
    def garble(run):
        here.leave(run)
        here.write_evidence(run, edit(here.files(run)["evidence.json"]))

    here.dspa.on_finish = garble
    ends_in(here, EvidenceError, message)


def test_evidence_of_more_than_its_bound_is_not_read(here):
    def bloat(run):
        here.leave(run)
        with open(here.evidence_of(run), "r+b") as file:
            file.truncate(MOST + 1)

    here.dspa.on_finish = bloat
    assert ends_in(here, PlatformError, f"has {MOST + 1} bytes, more than {MOST}").exit_code == 30


def test_a_store_without_the_candidate_is_refused(here):
    here.dspa.on_finish = lambda run: here.write_evidence(run, here.files(run)["evidence.json"])
    error = ends_in(here, EvidenceError, "there is no candidate")
    assert error.details["evidence_digest"].startswith("sha256:")
    assert error.details["checks"]


@pytest.mark.parametrize("name", ["manifest.json", "model.keras", "model.onnx", "served.json"])
def test_a_candidate_that_lost_or_changed_a_file_is_refused(here, name):
    def spoil(run):
        here.leave(run)
        (path,) = (path for path in paths(str(here.store)) if path.endswith(name))
        if run.parameters["model_version"] == "lost":
            delete(str(here.store), path)
        else:
            overwrite(str(here.store), path, b"{}")

    here.dspa.on_finish = spoil
    for version in ("lost", "changed"):
        with pytest.raises(EvidenceError):
            here.submit(here.submission(version, model_version=version))


def test_an_evidence_place_that_cannot_be_listed_is_told_before_a_run_is_asked_for(here, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "REGION"):
        monkeypatch.setenv(f"AWS_{name}", "test")
    with pytest.raises(PlatformError, match="s3://nowhere/evidence"):
        here.submit(here.submission(evidence_uri="s3://nowhere/evidence/{run_id}.json"), storage=0.2)
    assert here.runs() == []


def test_an_evidence_place_that_cannot_be_read_is_a_matter_of_the_platform(here, monkeypatch):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    asked = here.submission(evidence_uri="s3://nowhere/evidence/{run_id}.json")
    here.dspa.on_finish = None
    run = here.begin(asked)
    with pytest.raises(PlatformError, match="s3://nowhere/evidence") as caught:
        here.follow(run.run_id, storage=0.2, evidence=0.2)
    assert caught.value.exit_code == 30
    assert caught.value.details["run_id"] == run.run_id


def test_a_run_that_has_ended_is_not_said_to_go_on(here):
    def bloat(run):
        here.leave(run)
        with open(here.evidence_of(run), "r+b") as file:
            file.truncate(MOST + 1)

    here.dspa.on_finish = bloat
    assert "continues" not in str(ends_in(here, PlatformError, "more than"))


def test_where_a_file_lies_in_the_place_of_the_evidence_folder_there_is_no_evidence(here):
    folder = here.home / "evidence"
    here.dspa.on_finish = lambda run: (shutil.rmtree(folder), folder.write_text("in the way"))
    with pytest.raises(JukeboxError) as caught:
        here.submit()
    assert caught.value.details["run_id"] == here.runs()[0].run_id
    assert caught.value.exit_code == 40


def test_a_run_that_jukebox_did_not_start_is_not_followed(here):
    run = here.begin()
    here.dspa.runs[run.run_id].display_name = "somebody's run"
    with pytest.raises(EvidenceError, match="was not started by `jukebox submit`"):
        here.follow(run.run_id)
    here.dspa.runs[run.run_id].display_name = run.display_name
    del here.dspa.runs[run.run_id].parameters["nonce"]
    with pytest.raises(EvidenceError, match="it has no nonce"):
        here.follow(run.run_id)


def test_followed_or_submitted_a_run_comes_to_the_same(here):
    found = here.submit()
    # Who follows has not submitted it, and knows nothing of the pipeline's digest.
    assert here.follow(found.run_id) == found.model_copy(update={"claimed": None})


def test_the_command_has_a_deadline_for_its_verdict_too(here):
    """Evidence that does not come is not waited for beyond the deadline."""
    here.dspa.on_finish = None
    with pytest.raises(PlatformError, match=r"not done within 1\.5 s"):
        here.submit(deadline=1.5, evidence=60)


def test_our_policy_decides_not_the_one_that_the_run_was_given(here):
    with pytest.raises(GateBlocked, match=r"evaluation\.songs"):
        here.submit(here.submission(policy=STRICT))

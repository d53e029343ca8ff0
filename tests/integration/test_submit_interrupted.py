"""`jukebox submit` and `follow` told to stop: the run is always known, and none is left by mistake."""

import json
import signal

import pytest
from command import SAMPLE
from dspa_command import PLACES, TOKEN, Started
from dspa_server import Dspa, Fault, Script, serving
from processes import wait_for
from tiers import SLOW

DATA = ("--data", SAMPLE)
RESULTS = {"RUN_ID", "VERDICT", "CANDIDATE", "MODEL_URI", "MODEL_DIGEST", "EVIDENCE_DIGEST", "TEST_OUTPUT"}


@pytest.fixture
def dspa():
    with serving(Dspa(tokens={TOKEN}, script=Script(never_ends=True))) as served:
        yield served


@pytest.fixture
def start(dspa, s3, local, tmp_path):
    """Start a submission; what a test leaves running is killed."""
    started = []

    def submit(*arguments: object) -> Started:
        where = ("--host", dspa.url, *PLACES, *DATA)
        started.append(Started(tmp_path, "submit", local / "fit.yaml", *where, *arguments, env=s3))
        return started[-1]

    yield submit
    for one in started:
        one.process.kill()
        one.process.wait()
        one.process.stdout.close()
        one.process.stderr.close()


def under_way(dspa):
    """Wait until a run is being followed."""
    wait_for(lambda: any(run.gets for run in dspa.runs.values()))
    (run,) = dspa.runs.values()
    return run


def stopped(command: Started, run_id: str, code: int = 20):
    """Check how an interrupted command ends: with the code, one line, all seven results."""
    ended = command.finish()
    assert (ended.code, bool(ended.line)) == (code, True), ended.stderr
    assert set(ended.results) == RESULTS
    told = [ended.results[name] for name in ("VERDICT", "RUN_ID", "MODEL_URI", "MODEL_DIGEST")]
    assert told == ["error", run_id, "", ""]
    assert json.loads(ended.results["TEST_OUTPUT"])["result"] == "ERROR"
    return ended


def kinds(dspa) -> list[str]:
    return [request.kind for request in dspa.requests]


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=SLOW)])
def test_the_run_is_terminated(dspa, start, tmp_path, number):
    submission = start("--json", "--outcome", tmp_path / "outcome" / "submit.json")
    run = under_way(dspa)
    submission.process.send_signal(number)
    done = stopped(submission, run.run_id)
    assert f"interrupted; run {run.run_id} was terminated" in done.line
    outcome = json.loads((tmp_path / "outcome" / "submit.json").read_text())
    assert outcome.pop("inputs")
    assert outcome.pop("policy_digest")
    told = {"run_id": run.run_id, "error": done.line[9:].strip(), "exit_code": 20, "interrupted": True}
    assert (outcome, done.json) == (told, told)
    assert (run.terminated, kinds(dspa).count("terminate")) == (True, 1)


@SLOW
def test_a_second_signal_does_not_interrupt_the_clean_up(dspa, start):
    slow = Fault.slow_headers(0.1, piece=40)
    dspa.fault = lambda request: slow if request.kind in {"terminate", "list_runs"} else None
    submission = start()
    run = under_way(dspa)
    submission.process.terminate()
    wait_for(lambda: "terminate" in kinds(dspa))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        submission.process.send_signal(number)
    assert "was terminated" in stopped(submission, run.run_id).line


def test_a_run_that_shall_go_on_goes_on_and_a_follower_leaves_it_alone(dspa, start, tmp_path):
    submission = start("--leave-running")
    run = under_way(dspa)
    submission.process.terminate()
    assert f"left running: `jukebox follow {run.run_id}`" in stopped(submission, run.run_id).line
    gets = run.gets
    follower = Started(tmp_path, "follow", run.run_id, "--host", dspa.url)
    wait_for(lambda: run.gets > gets + 1)
    follower.process.send_signal(signal.SIGINT)
    assert f"run {run.run_id} continues" in stopped(follower, run.run_id).line
    assert (run.terminated, "terminate" in kinds(dspa)) == (False, False)


@SLOW
def test_a_run_whose_answer_is_outstanding_is_found_terminated_and_in_the_results(dspa, start):
    dspa.fault = lambda request: Fault.hang(600, after=True) if request.kind == "create_run" else None
    submission = start()
    wait_for(lambda: dspa.runs)
    (run,) = dspa.runs.values()
    submission.process.terminate()
    assert f"run {run.run_id} was terminated" in stopped(submission, run.run_id).line
    assert run.terminated


def test_before_any_run_there_is_nothing_to_terminate(dspa, start, tmp_path):
    dspa.fault = lambda request: Fault.busy() if request.kind == "healthz" else None
    submission = start("--outcome", "submit.json", "--json")
    wait_for(lambda: dspa.requests)
    submission.process.terminate()
    done = stopped(submission, "")
    assert ("interrupted" in done.line, done.json["exit_code"], dspa.runs) == (True, 20, {})
    told = json.loads((tmp_path / "submit.json").read_text())
    assert (told["exit_code"], told["interrupted"]) == (20, True)


@SLOW
def test_the_deadline_ends_the_run(dspa, start):
    submission = start("--timeout", "3")
    run = under_way(dspa)
    line = stopped(submission, run.run_id, 30).line
    assert ("--timeout" in line, "was terminated" in line, run.terminated) == (True, True, True)


@SLOW
def test_a_reader_that_goes_away_leaves_no_run_behind(dspa, start):
    submission = start().process
    while "/apis/v2beta1/runs/" not in submission.stdout.readline():
        pass
    submission.stdout.close()
    (run,) = dspa.runs.values()
    # Either it notices, and ends as it would on a signal, or it goes on following.
    wait_for(lambda: submission.poll() is not None or run.gets > 3)
    assert submission.poll() in {None, 20}
    assert submission.poll() is None or run.terminated

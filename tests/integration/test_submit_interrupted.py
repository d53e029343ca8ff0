"""`jukebox submit` and `follow` told to stop: the run is always known, and none is left by mistake."""

import json
import os
import signal
import subprocess

import pytest
from command import COMMAND, SAMPLE
from dspa_command import IMAGE, PLACES, TOKEN, Ended, Started
from dspa_server import Dspa, Fault, RunRecord, Script, serving
from processes import wait_for
from servers import s3_server
from tiers import SLOW, sampled

from ml.pipeline.compiler import compile_pipeline

DATA = ("--data", SAMPLE)
RESULTS = {"RUN_ID", "VERDICT", "CANDIDATE", "MODEL_URI", "MODEL_DIGEST", "EVIDENCE_DIGEST", "TEST_OUTPUT"}


@pytest.fixture(scope="module")
def s3():
    with s3_server() as environment:
        yield environment


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    path = tmp_path_factory.mktemp("ir") / "pipeline.yaml"
    compile_pipeline(path, IMAGE)
    return path


@pytest.fixture
def dspa():
    with serving(Dspa(tokens={TOKEN}, script=Script(never_ends=True))) as found:
        yield found


@pytest.fixture
def start(dspa, s3, pipeline, tmp_path):
    """Start a submission; what a test leaves running is killed."""
    started = []

    def submit(*arguments: object, env=None) -> Started:
        where = ("--host", dspa.url, *PLACES, *DATA)
        started.append(Started(tmp_path, "submit", pipeline, *where, *arguments, env={**s3, **(env or {})}))
        return started[-1]

    yield submit
    for one in started:
        one.process.kill()
        one.process.wait()
        one.process.stdout.close()
        one.process.stderr.close()


def under_way(dspa) -> RunRecord:
    """Wait until a run is being followed."""
    wait_for(lambda: any(run.gets for run in dspa.runs.values()))
    (run,) = dspa.runs.values()
    return run


def stopped(ended: Ended, run_id: str, code: int = 20) -> Ended:
    """Check how an interrupted command ends: with the code, one line, all seven results."""
    assert ended.code == code, ended.stderr
    assert ended.line
    assert set(ended.results) == RESULTS
    assert (ended.results["VERDICT"], ended.results["RUN_ID"]) == ("error", run_id)
    assert (ended.results["MODEL_URI"], ended.results["MODEL_DIGEST"]) == ("", "")
    assert json.loads(ended.results["TEST_OUTPUT"])["result"] == "ERROR"
    return ended


def kinds(dspa) -> list[str]:
    return [request.kind for request in dspa.requests]


@pytest.mark.parametrize("number", sampled([signal.SIGTERM, signal.SIGINT], [signal.SIGTERM]))
def test_the_run_is_terminated(dspa, start, tmp_path, number):
    submission = start("--outcome", tmp_path / "outcome" / "submit.json")
    run = under_way(dspa)
    submission.process.send_signal(number)
    done = stopped(submission.finish(30), run.run_id)
    assert f"interrupted; run {run.run_id} was terminated" in done.line
    outcome = json.loads((tmp_path / "outcome" / "submit.json").read_text())
    assert outcome.pop("inputs")
    assert outcome.pop("policy_digest")
    told = {"run_id": run.run_id, "error": done.line[9:].strip(), "exit_code": 20, "interrupted": True}
    assert outcome == told
    assert run.terminated
    assert kinds(dspa).count("terminate") == 1


@SLOW
def test_the_run_is_terminated_and_told_as_json(dspa, start):
    submission = start("--json")
    run = under_way(dspa)
    submission.process.terminate()
    done = stopped(submission.finish(30), run.run_id)
    about = {"run_id": run.run_id, "interrupted": True}
    assert done.json == {**about, "error": done.line[9:].strip(), "exit_code": 20}
    assert run.terminated


@SLOW
def test_a_second_signal_does_not_interrupt_the_clean_up(dspa, start):
    dspa.fault = lambda request: (
        Fault.slow_headers(0.1, piece=40) if request.kind in {"terminate", "list_runs"} else None
    )
    submission = start()
    run = under_way(dspa)
    submission.process.terminate()
    wait_for(lambda: "terminate" in kinds(dspa))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        submission.process.send_signal(number)
    assert "was terminated" in stopped(submission.finish(30), run.run_id).line


def test_a_run_that_shall_go_on_goes_on(dspa, start):
    submission = start("--leave-running")
    run = under_way(dspa)
    submission.process.terminate()
    done = stopped(submission.finish(30), run.run_id)
    assert f"left running: `jukebox follow {run.run_id}`" in done.line
    assert not run.terminated
    assert "terminate" not in kinds(dspa)


@SLOW
def test_a_run_whose_answer_is_outstanding_is_found_and_terminated(dspa, start):
    dspa.fault = lambda request: Fault.hang(600, after=True) if request.kind == "create_run" else None
    submission = start()
    wait_for(lambda: dspa.runs)
    (run,) = dspa.runs.values()
    submission.process.terminate()
    done = submission.finish(30)
    assert (done.code, done.results["VERDICT"]) == (20, "error")
    assert f"run {run.run_id} was terminated" in done.line
    assert run.terminated


@SLOW
def test_a_run_that_was_found_only_then_is_in_the_results(dspa, start):
    dspa.fault = lambda request: Fault.hang(600, after=True) if request.kind == "create_run" else None
    submission = start()
    wait_for(lambda: dspa.runs)
    (run,) = dspa.runs.values()
    submission.process.terminate()
    assert submission.finish(30).results["RUN_ID"] == run.run_id


def test_before_any_run_there_is_nothing_to_terminate(dspa, start, tmp_path):
    dspa.fault = lambda request: Fault.busy() if request.kind == "healthz" else None
    submission = start("--outcome", "submit.json")
    wait_for(lambda: dspa.requests)
    submission.process.terminate()
    done = stopped(submission.finish(30), "")
    assert "interrupted" in done.line
    assert dspa.runs == {}
    told = json.loads((tmp_path / "submit.json").read_text())
    assert (told["exit_code"], told["interrupted"]) == (20, True)


@SLOW
def test_before_any_run_json_is_one_object(dspa, start):
    dspa.fault = lambda request: Fault.busy() if request.kind == "healthz" else None
    submission = start("--json")
    wait_for(lambda: dspa.requests)
    submission.process.terminate()
    assert submission.finish(30).json["exit_code"] == 20


@SLOW
def test_the_deadline_ends_the_run(dspa, start):
    done = start("--timeout", "3").finish(60)
    (run,) = dspa.runs.values()
    stopped(done, run.run_id, 30)
    assert "--timeout" in done.line
    assert "was terminated" in done.line
    assert run.terminated


@SLOW
def test_a_follower_leaves_the_run_alone(dspa, start, tmp_path):
    first = start("--leave-running")
    run = under_way(dspa)
    first.process.terminate()
    first.finish(30)
    gets = run.gets
    follower = Started(tmp_path, "follow", run.run_id, "--host", dspa.url)
    wait_for(lambda: run.gets > gets + 1)
    follower.process.send_signal(signal.SIGINT)
    done = stopped(follower.finish(30), run.run_id)
    assert f"run {run.run_id} continues" in done.line
    assert not run.terminated
    assert "terminate" not in kinds(dspa)


def test_a_submission_that_is_killed_is_adopted_by_the_next(dspa, start):
    first = start("--attempt", "one")
    run = under_way(dspa)
    first.process.kill()
    first.process.wait()
    gets = run.gets
    second = start("--attempt", "one")
    wait_for(lambda: run.gets > gets)
    second.process.terminate()
    done = stopped(second.finish(30), run.run_id)
    assert "it is adopted" in done.stdout
    assert list(dspa.runs) == [run.run_id]


@SLOW
def test_a_reader_that_goes_away_leaves_no_run_behind(dspa, s3, pipeline, tmp_path):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "JUKEBOX_"))}
    submission = subprocess.Popen(
        [*COMMAND, "submit", str(pipeline), "--host", dspa.url, *PLACES, *DATA],
        env={**env, **s3, "JUKEBOX_TOKEN": TOKEN},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        while b"/apis/v2beta1/runs/" not in submission.stdout.readline():
            pass
        submission.stdout.close()
        (run,) = dspa.runs.values()
        # Either it notices, and ends as it would on a signal, or it goes on following.
        wait_for(lambda: submission.poll() is not None or run.gets > 3)
        assert submission.poll() in {None, 20}
        assert submission.poll() is None or run.terminated
    finally:
        submission.kill()
        submission.wait()

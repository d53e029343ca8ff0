"""A run is followed to its end, and never longer than its timeouts allow."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from dspa_server import PROFILES, Dspa, Fault, Script, serving
from submissions import World, nth, outcome, pipeline, unhurried

from ml.core.errors import PlatformError, RunFailed, UsageError
from ml.dspa.answers import Run
from ml.dspa.failures import Refused, Rejected, Unavailable
from ml.dspa.follow import task_states
from ml.dspa.outcome import RunOutcome
from ml.dspa.timeouts import DeadlineOver

FOREVER = Script(never_ends=True)
ALWAYS = range(1, 9999)


def on_get(faults, fault=None):
    """Make a `fault` for some GETs of a run: by number, or the same for a range of numbers."""
    return nth("get_run", dict.fromkeys(faults, fault) if fault else faults)


def states(here: World) -> list[str]:
    """List the states that were shown, each once."""
    return list(dict.fromkeys(state for state, _ in here.shown))


def test_each_change_is_shown_once_from_the_beginning_to_the_end(here):
    here.dspa.script = Script(states=(*["PENDING"] * 9, "RUNNING", "PAUSED", *["RUNNING"] * 9, "SUCCEEDED"))
    assert here.submit().state == "SUCCEEDED"
    assert states(here) == ["PENDING", "RUNNING", "PAUSED", "SUCCEEDED"]
    assert all(one != other for one, other in zip(here.shown, here.shown[1:], strict=False))


@pytest.mark.parametrize(("final", "message"), [("CANCELED", "was cancelled"), ("SKIPPED", "was skipped: n")])
def test_a_run_that_measured_nothing_has_failed_whatever_its_evidence_says(here, final, message):
    here.dspa.script = Script(final=final)
    error = here.ends_in(RunFailed, message)
    assert (error.exit_code, error.details["state"]) == (20, final)
    assert here.evidence_of(here.runs()[0]).exists()


@pytest.mark.parametrize("ends_as", ["FAILED", "CANCELED"])
def test_a_run_that_another_client_cancels_has_failed(here, ends_as):
    here.dspa.script = Script(never_ends=True, canceled=ends_as)

    def cancel() -> None:
        here.dspa.wait(lambda dspa: any(run.state == "RUNNING" for run in dspa.runs.values()))
        here.client().terminate(here.runs()[0].run_id)

    thread = threading.Thread(target=cancel)
    thread.start()
    here.ends_in(RunFailed, "was cancelled", canceling=9)
    thread.join()
    assert states(here) == ["PENDING", "RUNNING", "CANCELING", ends_as]


def test_a_run_that_stays_in_canceling_is_cancelled_after_a_timeout(here):
    here.dspa.script = Script(states=("RUNNING", "CANCELING"))
    assert here.ends_in(RunFailed, "was cancelled").details["state"] == "CANCELING"
    assert here.count("get_run") > 2


@pytest.mark.parametrize("state", ["EXPIRED", None, "RUNTIME_STATE_UNSPECIFIED"])
def test_an_unknown_state_has_a_timeout_and_may_change(here, state):
    here.dspa.script = Script(states=("RUNNING", state))
    named = state or "RUNTIME_STATE_UNSPECIFIED"
    error = here.ends_in(PlatformError, f"is in state {named}, which this version does not know")
    assert (error.exit_code, here.count("get_run") > 2) == (30, True)
    here.dspa.script = Script(states=("RUNNING", state, "RUNNING", "SUCCEEDED"))
    assert here.submit(here.submission("another"), unknown=9).verdict.passed


def test_a_state_of_another_type_is_no_answer(here):
    null = Fault.edited(lambda run: {**run, "state": None})
    here.dspa.fault = on_get({2: null})
    assert here.submit().verdict.passed
    here.dspa.fault = on_get(ALWAYS, null)
    with pytest.raises(Unavailable, match=r"the server's answer is not a run \(field: state\)"):
        here.submit(here.submission("another"), outage=0.3)


def test_a_run_that_is_deleted_has_failed(here):
    here.dspa.script = Script(never_ends=True, vanish_after=3)
    here.ends_in(RunFailed, "is not in the DSPA any more: it was deleted")
    assert here.count("get_run") > 4


def test_a_run_that_is_missing_for_a_moment_is_followed_on(here):
    here.dspa.script = Script(running=6)
    here.dspa.fault = on_get((3, 4), Fault.json({"code": 5, "message": "Run not found"}, 404))
    assert here.submit(vanished=9).verdict.passed
    # A 404 of the router is an outage.
    here.dspa.fault = on_get(range(2, 6), Fault.status(404, "<html>not available</html>", "text/html"))
    assert here.submit(here.submission("another"), outage=9, vanished=0.01).verdict.passed


def test_the_answer_about_another_run_is_refused(here):
    another = Fault.edited(lambda run: {**run, "run_id": "another", "state": "SUCCEEDED"})
    here.dspa.fault = on_get(ALWAYS, another)
    here.ends_in(Unavailable, "the server returned run another", outage=0.2)


@pytest.mark.parametrize(
    "script", [FOREVER, Script(states=("PENDING",)), Script(states=("RUNNING", "PAUSED"))]
)
def test_a_run_that_never_ends_is_terminated_at_the_deadline(here, script):
    here.dspa.script = script
    error = here.ends_in(DeadlineOver, "not done within 1 s", deadline=1)
    (run,) = here.runs()
    assert f"run {run.run_id} was terminated" in str(error)
    assert (error.exit_code, run.terminated) == (30, True)


def test_leave_running_and_follow_never_terminate(here):
    here.dspa.script = FOREVER
    error = here.ends_in(DeadlineOver, "left running", deadline=1, leave_running=True)
    (run,) = here.runs()
    assert f"jukebox follow {run.run_id}" in str(error)
    with pytest.raises(DeadlineOver, match=f"run {run.run_id} continues") as caught:
        here.follow(run.run_id, deadline=1)
    assert caught.value.details["run_id"] == run.run_id
    assert here.count("terminate") == 0


def test_following_needs_the_id_of_a_run(here):
    for run_id, message in (("0000", "there is no run 0000"), ("../x", "is not the id of a run")):
        with pytest.raises(UsageError, match=message):
            here.follow(run_id)


# Tasks.


@pytest.mark.parametrize("profile", PROFILES)
def test_the_states_of_the_tasks_are_shown_whatever_the_server(here, profile):
    here.dspa.profile = profile
    here.dspa.script = Script(running=len(pipeline().tasks) + 1)
    here.submit()
    shown = [tasks for _, tasks in here.shown if tasks]
    assert {name for tasks in shown for name in tasks} == set(pipeline().tasks)
    assert {state for tasks in shown for state in tasks.values()} <= {"PENDING", "RUNNING", "SUCCEEDED"}
    assert list(shown[0]) == ["champion"]
    assert next(iter(shown[-1])) == "champion"
    for name in pipeline().tasks:
        seen = list(dict.fromkeys(tasks[name] for tasks in shown if name in tasks))
        assert seen in (["RUNNING", "SUCCEEDED"], ["RUNNING"]), (name, seen)


DONE = "SUCCEEDED"
TRIED = [("make-driver(0)", DONE), ("make(0)", "RUNNING"), ("executor(0)", "RUNNING")]
ROOT = [("root-driver", DONE), ("root", "RUNNING"), ("", "RUNNING"), ("jukebox-x7k2", "RUNNING")]
UNBEGUN = [("fetch-driver", DONE), ("fetch", None), ("save-driver", DONE)]


@pytest.mark.parametrize(
    ("state", "field", "nodes", "shown"),
    [
        (
            "FAILED",
            "details",
            [("root-driver", DONE), ("convert-driver", "FAILED"), ("train-driver", DONE), ("train", DONE)],
            {"convert": "FAILED", "train": DONE},
        ),
        ("RUNNING", "details", UNBEGUN, {"fetch": "PENDING", "save": "PENDING"}),
        ("FAILED", "details", UNBEGUN, {"fetch": "NOT STARTED", "save": "NOT STARTED"}),
        ("RUNNING", "tasks", [("fetch", None)], {"fetch": "PENDING"}),
        ("FAILED", "tasks", [("fetch", None)], {"fetch": "NOT STARTED"}),
        ("RUNNING", "details", [*ROOT, *TRIED], {"make": "RUNNING"}),
        ("RUNNING", "tasks", [("ROOT", "RUNNING"), ("make", "RUNNING")], {"make": "RUNNING"}),
    ],
)
def test_drivers_tries_and_the_root_are_no_tasks(state, field, nodes, shown):
    listed = [{"display_name": name, **({"state": value} if value else {})} for name, value in nodes]
    known = {"run_id": "r", "experiment_id": "e", "display_name": "n", "created_at": "2026-01-01T00:00:00Z"}
    told = {"run_details": {"task_details": listed}} if field == "details" else {"tasks": listed}
    assert task_states(Run.model_validate({**known, "state": state, **told})) == shown


def fail_all_tasks(run):
    for task in [*run.get("run_details", {}).get("task_details", []), *run.get("tasks", [])]:
        task["state"] = "FAILED"
    return run


@pytest.mark.parametrize("profile", PROFILES)
def test_failed_tasks_do_not_decide(here, profile):
    here.dspa.profile = profile
    here.dspa.fault = on_get(ALWAYS, Fault.edited(fail_all_tasks))
    assert here.submit().verdict.passed


@pytest.mark.parametrize(
    "strange", [{"tasks": {"a": {}}}, {"tasks": 3}, {"run_details": {"task_details": [3]}}]
)
def test_tasks_of_another_shape_are_ignored(here, strange):
    here.dspa.fault = on_get(ALWAYS, Fault.edited(lambda answer: {**answer, **strange}))
    assert here.submit().verdict.passed


def test_an_older_server_is_asked_for_the_full_view_once(here):
    refused = Fault.json({"code": 3, "message": 'unknown query parameter "view"'}, 400)
    here.dspa.fault = lambda request: refused if "view" in request.query else None
    assert here.submit().verdict.passed
    assert sum("view" in request.query for request in here.dspa.requests) == 1


# Failures on the way.


def test_a_rejection_is_not_retried(here):
    here.dspa.fault = on_get({3: Fault.json({"code": 12, "message": "no such method"}, 405)})
    here.ends_in(Rejected, "HTTP 405: no such method")
    assert here.count("get_run") == 3


@pytest.fixture
def token_file(here):
    here.token_file = here.home / "token"
    here.token_file.write_text("first")
    here.dspa.tokens = {"first"}
    return here.token_file


def test_a_rotated_token_is_read_again(here, token_file):
    def rotate(request):
        if request.kind == "get_run" and here.count("get_run") == 2:
            here.dspa.tokens = {"second"}
        if request.kind == "get_run" and here.count("get_run") == 5:
            token_file.write_text("second\n")

    here.dspa.fault = rotate
    assert here.submit(refused=20).verdict.passed
    gets = [request.headers["Authorization"] for request in here.dspa.requests if request.kind == "get_run"]
    assert gets[:6] == ["Bearer first"] * 5 + ["Bearer second"]
    assert here.count("create_run") == 1


def test_a_token_file_that_is_missing_for_a_moment_is_read_again(here, token_file):
    class Said(list):
        def append(self, line: str) -> None:
            super().append(line)
            if "token file cannot be used" in line:
                token_file.write_text("first")

    here.said = Said()
    here.dspa.fault = lambda _: token_file.unlink() if here.kinds()[-2:] == ["get_run"] * 2 else None
    assert here.submit(refused=20).verdict.passed
    assert any("token file cannot be used" in line for line in here.said)


def test_a_token_that_stays_refused_ends_it_and_the_run_continues(here, token_file):
    here.dspa.fault = lambda request: here.dspa.tokens.clear() if request.kind == "get_run" else None
    told = "refused .HTTP 401.*the token is not accepted.*continues: see `jukebox follow"
    error = here.ends_in(Refused, told)
    assert (error.exit_code, here.runs()[0].terminated, "first" in str(error)) == (30, False, False)


@pytest.mark.parametrize(
    "fault",
    [Fault.reset(), Fault.close(), Fault.busy(503), Fault.busy(429), Fault.login_page(), Fault.truncated()],
    ids=["reset", "close", "503", "429", "login", "truncated"],
)
def test_a_burst_of_failures_is_retried(here, fault):
    here.dspa.fault = on_get(range(2, 7), fault)
    assert here.submit(outage=20, refused=20).verdict.passed
    assert here.count("create_run") == 1
    assert here.said.count("the DSPA answers again") == 1


def test_an_outage_has_a_timeout_and_the_run_continues(here):
    here.dspa.fault = on_get(range(2, 9999), Fault.busy(503))
    error = here.ends_in(Unavailable, "HTTP 503: try again later; run .* continues", outage=0.3)
    assert error.exit_code == 30
    assert here.count("terminate") == 0
    here.ends_in(DeadlineOver, "not done within 0.5 s .*HTTP 503", outage=20, deadline=0.5)


def test_a_server_that_restarts_is_used_again(tmp_path):
    dspa = Dspa(script=FOREVER)
    with unhurried(), ThreadPoolExecutor(1) as pool:
        with serving(dspa):
            here = World(tmp_path, dspa)
            port = int(dspa.url.rpartition(":")[2])
            done = pool.submit(lambda: outcome(lambda: here.submit(outage=20)))
            dspa.wait(lambda dspa: any(run.gets > 2 for run in dspa.runs.values()))
        for run in here.runs():
            run.script = Script()
        with serving(dspa, port=port):
            ended = done.result()
    assert isinstance(ended, RunOutcome), ended
    assert len(here.runs()) == 1


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_is_obeyed(here, code):
    asked = {}
    busy = on_get({3: Fault.busy(code, retry_after="1")})
    here.dspa.fault = lambda request: asked.update({request.number: time.monotonic()}) or busy(request)
    assert here.submit(outage=20).verdict.passed
    third = [request.number for request in here.dspa.requests if request.kind == "get_run"][2]
    assert asked[third + 1] - asked[third] >= 1
    assert here.count("get_run") < 20


def test_retry_after_is_bounded_by_the_timeout_of_an_outage(here):
    here.dspa.fault = on_get(range(2, 99), Fault.busy(503, retry_after="31536000"))
    here.ends_in(Unavailable, "HTTP 503", outage=0.3)
    assert here.count("get_run") == 3

"""A run is followed to its end, whatever the end is, and never for longer than it is worth."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from dspa_server import PROFILES, Dspa, Fault, Script, serving
from submissions import World, nth, outcome, pipeline, unhurried, world

from ml.core.errors import PlatformError, RunFailed, UsageError
from ml.dspa.client import Run
from ml.dspa.failures import Refused, Rejected, Unavailable
from ml.dspa.follow import task_states
from ml.dspa.outcome import RunOutcome
from ml.dspa.timeouts import DeadlineOver

FOREVER = Script(never_ends=True)


@pytest.fixture
def here(tmp_path):
    with world(tmp_path) as found:
        yield found


def ends_in(here: World, error: type[Exception], message: str, **options) -> Exception:
    """Submit, and check that it ends in an error that says which run it is about."""
    with pytest.raises(error, match=message) as caught:
        here.submit(**options)
    assert type(caught.value) is error
    assert caught.value.details["run_id"] == here.runs()[0].run_id
    return caught.value


def states(here: World) -> list[str]:
    """List the states that were shown, each once."""
    return list(dict.fromkeys(state for state, _ in here.shown))


def test_a_run_is_shown_from_its_beginning_to_its_end(here):
    here.dspa.script = Script(states=("PENDING", "PENDING", "RUNNING", "PAUSED", "RUNNING", "SUCCEEDED"))
    assert here.submit().state == "SUCCEEDED"
    assert states(here) == ["PENDING", "RUNNING", "PAUSED", "SUCCEEDED"]


def test_what_has_not_moved_is_not_shown_again(here):
    here.dspa.script = Script(pending=20, running=20)
    here.submit()
    assert all(one != other for one, other in zip(here.shown, here.shown[1:], strict=False))
    assert here.shown[0][0] == "PENDING"


@pytest.mark.parametrize(
    ("final", "message"),
    [("CANCELED", "was cancelled"), ("SKIPPED", "was skipped: nothing was measured")],
)
def test_a_run_that_measured_nothing_has_failed(here, final, message):
    here.dspa.script = Script(final=final)
    error = ends_in(here, RunFailed, message)
    assert (error.exit_code, error.details["state"]) == (20, final)


@pytest.mark.parametrize("final", ["CANCELED", "SKIPPED"])
def test_evidence_that_passes_does_not_make_a_pass_of_it(here, final):
    here.dspa.script = Script(final=final)
    ends_in(here, RunFailed, "was")
    assert here.evidence_of(here.runs()[0]).exists()


@pytest.mark.parametrize("ends_as", ["FAILED", "CANCELED"])
def test_a_run_that_somebody_cancels_has_failed(here, ends_as):
    here.dspa.script = Script(never_ends=True, canceled=ends_as)

    def cancel() -> None:
        here.dspa.wait(lambda dspa: any(run.state == "RUNNING" for run in dspa.runs.values()))
        here.client().terminate(here.runs()[0].run_id)

    thread = threading.Thread(target=cancel)
    thread.start()
    ends_in(here, RunFailed, "was cancelled", canceling=9)
    thread.join()
    assert states(here) == ["PENDING", "RUNNING", "CANCELING", ends_as]


def test_a_run_that_is_being_cancelled_for_ever_is_waited_for_in_bounds(here):
    here.dspa.script = Script(states=("RUNNING", "CANCELING"))
    error = ends_in(here, RunFailed, "was cancelled")
    assert error.details["state"] == "CANCELING"
    assert here.count("get_run") > 2


@pytest.mark.parametrize("state", ["EXPIRED", None, "RUNTIME_STATE_UNSPECIFIED"])
def test_a_state_that_nobody_knows_is_waited_for_in_bounds(here, state):
    here.dspa.script = Script(states=("RUNNING", state))
    named = state or "RUNTIME_STATE_UNSPECIFIED"
    error = ends_in(here, PlatformError, f"is in state {named}, which this version does not know")
    assert error.exit_code == 30
    assert here.count("get_run") > 2


@pytest.mark.parametrize("state", ["EXPIRED", None])
def test_a_state_that_nobody_knows_may_pass(here, state):
    here.dspa.script = Script(states=("RUNNING", state, "RUNNING", "SUCCEEDED"))
    assert here.submit(unknown=9).verdict.passed


def test_a_state_of_another_type_is_no_answer(here):
    null = Fault.edited(lambda run: {**run, "state": None})
    here.dspa.fault = nth("get_run", {2: null})
    assert here.submit().verdict.passed
    here.dspa.fault = nth("get_run", dict.fromkeys(range(999), null))
    with pytest.raises(Unavailable, match=r"the server's answer is not a run \(field: state\)"):
        here.submit(here.submission("another"), outage=0.3)


def test_a_run_that_has_vanished_has_failed(here):
    here.dspa.script = Script(never_ends=True, vanish_after=3)
    ends_in(here, RunFailed, "is not in the DSPA any more: it was deleted")
    assert here.count("get_run") > 4


def test_a_run_that_was_gone_for_a_moment_is_followed_on(here):
    here.dspa.script = Script(running=6)
    gone = Fault.json({"code": 5, "message": "Run not found"}, 404)
    here.dspa.fault = nth("get_run", {3: gone, 4: gone})
    assert here.submit(vanished=9).verdict.passed


def test_a_404_that_is_not_the_servers_is_an_outage(here):
    router = Fault.status(404, "<html>Application is not available</html>", "text/html")
    here.dspa.fault = nth("get_run", dict.fromkeys(range(2, 6), router))
    assert here.submit(outage=9, vanished=0.01).verdict.passed


def test_a_server_that_tells_of_another_run_is_not_believed(here):
    another = Fault.edited(lambda run: {**run, "run_id": "another", "state": "SUCCEEDED"})
    here.dspa.fault = nth("get_run", dict.fromkeys(range(999), another))
    ends_in(here, Unavailable, "the server returned run another", outage=0.2)


@pytest.mark.parametrize(
    "script", [FOREVER, Script(states=("PENDING",)), Script(states=("RUNNING", "PAUSED"))]
)
def test_a_run_that_never_ends_is_terminated_at_the_deadline(here, script):
    here.dspa.script = script
    error = ends_in(here, DeadlineOver, "not done within 1 s", deadline=1)
    (run,) = here.runs()
    assert f"run {run.run_id} was terminated" in str(error)
    assert error.exit_code == 30
    assert run.terminated


def test_a_run_that_never_ends_is_left_alone_where_that_was_asked_for(here):
    here.dspa.script = FOREVER
    error = ends_in(here, DeadlineOver, "left running", deadline=1, leave_running=True)
    (run,) = here.runs()
    assert f"jukebox follow {run.run_id}" in str(error)
    assert not run.terminated


def test_following_never_terminates(here):
    here.dspa.script = FOREVER
    run = here.begin()
    with pytest.raises(DeadlineOver, match=f"run {run.run_id} continues") as caught:
        here.follow(run.run_id, deadline=1)
    assert caught.value.details["run_id"] == run.run_id
    assert here.count("terminate") == 0


def test_a_run_that_is_not_there_cannot_be_followed(here):
    with pytest.raises(UsageError, match="there is no run 00000000-0000"):
        here.follow("00000000-0000-0000-0000-000000000000")


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
    # Each is shown at work before it is shown done.
    for name in pipeline().tasks:
        seen = list(dict.fromkeys(tasks[name] for tasks in shown if name in tasks))
        assert seen in (["RUNNING", "SUCCEEDED"], ["RUNNING"]), (name, seen)


def seen(state, *nodes, field="run_details") -> dict[str, str]:
    """Return the tasks of a run that a server tells of in these nodes: names and states."""
    told = [{"display_name": name, **({"state": value} if value else {})} for name, value in nodes]
    known = {"run_id": "r", "experiment_id": "e", "display_name": "n", "created_at": "2026-01-01T00:00:00Z"}
    shown = {"task_details": told} if field == "run_details" else told
    return dict(task_states(Run.model_validate({**known, "state": state, field: shown})))


def test_a_driver_that_failed_is_its_tasks_failure():
    nodes = [("root-driver", "SUCCEEDED"), ("convert-driver", "FAILED"), ("train-driver", "SUCCEEDED")]
    assert seen("FAILED", *nodes, ("train", "SUCCEEDED")) == {"convert": "FAILED", "train": "SUCCEEDED"}


@pytest.mark.parametrize(("state", "waiting"), [("RUNNING", "PENDING"), ("FAILED", "NOT STARTED")])
def test_a_task_that_has_not_begun_will_or_never_did(state, waiting):
    nodes = [("fetch-driver", "SUCCEEDED"), ("fetch", None), ("save-driver", "SUCCEEDED")]
    assert seen(state, *nodes) == {"fetch": waiting, "save": waiting}
    assert seen(state, ("fetch", None), field="tasks") == {"fetch": waiting}


def test_tries_root_and_what_has_no_name_are_no_tasks():
    nodes = [("root-driver", "SUCCEEDED"), ("root", "RUNNING"), ("", "RUNNING"), ("jukebox-x7k2", "RUNNING")]
    tried = [("make-driver(0)", "SUCCEEDED"), ("make(0)", "RUNNING"), ("executor(0)", "RUNNING")]
    assert seen("RUNNING", *nodes, *tried) == {"make": "RUNNING"}
    assert seen("RUNNING", ("ROOT", "RUNNING"), ("make", "RUNNING"), field="tasks") == {"make": "RUNNING"}


@pytest.mark.parametrize("profile", PROFILES)
def test_tasks_do_not_decide(here, profile):
    """All tasks are said to have failed, or to be of no kind at all: state and evidence say pass."""
    here.dspa.profile = profile

    def spoil(run):
        details = run.get("run_details", {}).get("task_details", [])
        for task in [*details, *run.get("tasks", [])]:
            task["state"] = "FAILED"
        return run

    here.dspa.fault = nth("get_run", dict.fromkeys(range(999), Fault.edited(spoil)))
    assert here.submit().verdict.passed


def test_an_older_server_is_asked_for_the_full_view_once_where_it_refuses_it(here):
    refused = Fault.json({"code": 3, "message": 'unknown query parameter "view"'}, 400)

    def old(request):
        return refused if request.kind == "get_run" and "view" in request.query else None

    here.dspa.fault = old
    assert here.submit().verdict.passed
    assert sum("view" in request.query for request in here.dspa.requests) == 1


def test_a_rejection_in_mid_run_ends_it_at_once(here):
    here.dspa.fault = nth("get_run", {3: Fault.json({"code": 12, "message": "no such method"}, 405)})
    ends_in(here, Rejected, "HTTP 405: no such method")
    assert here.count("get_run") == 3


def test_a_token_that_is_rotated_in_mid_run_is_read_again(here):
    here.token_file = here.home / "token"
    here.token_file.write_text("first")
    here.dspa.tokens = {"first"}
    gets = []

    def rotate(request):
        if request.kind == "get_run":
            gets.append(request)
            if len(gets) == 2:
                here.dspa.tokens = {"second"}
            if len(gets) == 5:
                here.token_file.write_text("second\n")

    here.dspa.fault = rotate
    assert here.submit(refused=20).verdict.passed
    assert [run.headers["Authorization"] for run in gets[:6]] == ["Bearer first"] * 5 + ["Bearer second"]
    assert here.count("create_run") == 1


def test_a_token_file_that_is_gone_for_a_moment_is_read_again(here):
    here.token_file = here.home / "token"
    here.token_file.write_text("first")

    def rotate(request):
        if request.kind == "get_run" and here.count("get_run") == 2:
            here.token_file.unlink()

    here.dspa.fault = rotate
    saying = here.said.append

    def say(line):
        saying(line)
        if "token file cannot be used" in line:
            here.token_file.write_text("second")

    here.said = type("Said", (list,), {"append": lambda self, line: say(line)})()
    assert here.submit(refused=20).verdict.passed


def test_a_token_that_is_refused_for_ever_ends_it_with_the_rule_and_leaves_the_run(here):
    here.token_file = here.home / "token"
    here.token_file.write_text("first")
    here.dspa.tokens = {"first"}
    here.dspa.fault = lambda request: here.dspa.tokens.clear() if request.kind == "get_run" else None
    error = ends_in(here, Refused, "refused .HTTP 401")
    assert error.exit_code == 30
    assert "the token is not accepted" in str(error)
    assert "continues: see `jukebox follow" in str(error)
    assert not here.runs()[0].terminated
    assert "first" not in str(error)


@pytest.mark.parametrize(
    "fault",
    [Fault.reset(), Fault.close(), Fault.busy(503), Fault.busy(429), Fault.login_page(), Fault.truncated()],
    ids=["reset", "close", "503", "429", "login", "truncated"],
)
def test_a_burst_of_trouble_in_mid_run_is_outlived(here, fault):
    here.dspa.fault = nth("get_run", dict.fromkeys(range(2, 7), fault))
    assert here.submit(outage=20, refused=20).verdict.passed
    assert here.count("create_run") == 1
    assert here.said.count("the DSPA answers again") == 1


def test_trouble_for_ever_ends_in_bounds_and_says_that_the_run_goes_on(here):
    here.dspa.fault = nth("get_run", dict.fromkeys(range(2, 9999), Fault.busy(503)))
    error = ends_in(here, Unavailable, "HTTP 503: try again later; run .* continues", outage=0.3)
    assert error.exit_code == 30
    assert here.count("terminate") == 0


def test_a_server_that_is_restarted_in_mid_run_is_found_again(tmp_path):
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
            found = done.result()
    assert isinstance(found, RunOutcome), found
    assert len(here.runs()) == 1


@pytest.mark.parametrize("code", [429, 503])
def test_a_server_that_asks_for_a_second_is_asked_nothing_in_it(here, code):
    asked = []
    busy = nth("get_run", {3: Fault.busy(code, retry_after="1")})

    def fault(request):
        asked.append((request.number, time.monotonic()))
        return busy(request)

    here.dspa.fault = fault
    assert here.submit(outage=20).verdict.passed
    times = dict(asked)
    third = [request.number for request in here.dspa.requests if request.kind == "get_run"][2]
    assert times[third + 1] - times[third] >= 1
    assert here.count("get_run") < 20


def test_retry_after_that_is_no_number_is_not_obeyed_for_ever(here):
    faults = {2: "Wed, 21 Oct 2015 07:28:00 GMT", 3: "-5", 4: "1e9", 5: "\u00b2", 6: "soon", 7: ""}
    here.dspa.fault = nth("get_run", {n: Fault.busy(503, retry_after=text) for n, text in faults.items()})
    assert here.submit(outage=20).verdict.passed


def test_retry_after_of_a_year_is_waited_for_no_longer_than_an_outage(here):
    here.dspa.fault = nth("get_run", dict.fromkeys(range(2, 99), Fault.busy(503, retry_after="31536000")))
    ends_in(here, Unavailable, "HTTP 503", outage=0.3)
    assert here.count("get_run") == 3


@pytest.mark.parametrize(
    "date", ["Wed, 21 Oct 2015 07:28:00 +999999999999999999", "Wed, 21 Oct 99999999999999999999 07:28:00 GMT"]
)
def test_retry_after_that_is_no_date_of_this_world_is_nonsense_too(here, date):
    here.dspa.fault = nth("get_run", {2: Fault.busy(503, retry_after=date)})
    assert here.submit().verdict.passed


@pytest.mark.parametrize(
    "strange", [{"tasks": {"a": {}}}, {"tasks": 3}, {"run_details": {"task_details": [3]}}]
)
def test_tasks_of_another_shape_are_not_shown_and_do_no_harm(here, strange):
    here.dspa.fault = lambda request: (
        Fault.edited(lambda answer: {**answer, **strange}) if request.kind == "get_run" else None
    )
    assert here.submit().verdict.passed

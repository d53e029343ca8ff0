"""A run is followed to its end, and never longer than its timeouts allow."""

import time

import pytest
from dspa_server import PROFILES, Fault, Script
from submissions import nth, pipeline

from ml.core.errors import PlatformError, RunFailed, UsageError
from ml.dspa.answers import Run
from ml.dspa.failures import Refused, Rejected, Unavailable
from ml.dspa.follow import task_states
from ml.dspa.timeouts import DeadlineOver

FOREVER = Script(never_ends=True)
ALWAYS, LATER = range(1, 9999), range(2, 9999)


def on_get(numbers, fault):
    """Make a `fault` for some GETs of a run, by their numbers."""
    return nth("get_run", dict.fromkeys(numbers, fault))


def edited(**change) -> Fault:
    return Fault.edited(lambda run: {**run, **change})


def states(here) -> list[str]:
    """List the states that were shown, each once."""
    return list(dict.fromkeys(state for state, _ in here.shown))


ENDS = [
    (Script(states=("RUNNING", "CANCELING")), {}, RunFailed, "was cancelled"),
    (Script(states=("RUNNING", "EXPIRED")), {}, PlatformError, "is in state EXPIRED, which this version"),
    (Script(states=("RUNNING", None)), {}, PlatformError, "in state RUNTIME_STATE_UNSPECIFIED, which"),
    (Script(never_ends=True, vanish_after=3), {}, RunFailed, "is not in the DSPA any more: it was deleted"),
    (FOREVER, {"expires": "RUNNING"}, DeadlineOver, "not done within 20 s.* was terminated"),
    (Script(states=("PENDING",)), {"expires": "PENDING"}, DeadlineOver, "is PENDING; run .* was terminated"),
    (Script(states=("PAUSED",)), {"expires": "PAUSED"}, DeadlineOver, "is PAUSED; run .* was terminated"),
    (FOREVER, {"expires": "RUNNING", "leave_running": True}, DeadlineOver, "is left running: `jukebox"),
]
NO_METHOD = Fault.json({"code": 12, "message": "no method"}, 405)
FAULTS = [
    (ALWAYS, edited(run_id="another"), {"outage": 0.2}, Unavailable, "the server returned run another"),
    (ALWAYS, edited(state=None), {"outage": 0.2}, Unavailable, r"is not a run \(field: state\)"),
    ({3}, NO_METHOD, {}, Rejected, "HTTP 405: no method; run .* continues"),
    (LATER, Fault.busy(), {"outage": 0.3}, Unavailable, "HTTP 503: try again later; run .* continues"),
    (LATER, Fault.busy(503, "31536000"), {"outage": 0.3}, Unavailable, "HTTP 503"),
]


@pytest.mark.parametrize(
    ("script", "numbers", "fault", "options", "error", "message"),
    [*((script, (), None, *case) for script, *case in ENDS), *((Script(), *case) for case in FAULTS)],
)
def test_a_run_that_cannot_be_followed_to_its_end(here, script, numbers, fault, options, error, message):
    here.dspa.script, here.dspa.fault = script, on_get(numbers, fault)
    line = str(here.ends_in(error, message, **options))
    assert here.runs()[0].terminated is (error is DeadlineOver and "left" not in line)


def test_the_deadline_names_the_last_failure(here):
    here.dspa.fault = lambda request: (
        Fault.busy() if request.kind == "get_run" and not here.expire() else None
    )
    here.ends_in(DeadlineOver, "not done within 20 s .*HTTP 503: try again later: run .* is PENDING; ")


SHOWN = [
    *(edited(tasks=tasks) for tasks in ([{"name": "a", "state": "FAILED"}], 3, {"a": {}})),
    edited(run_details={"task_details": [3]}, state_history=3, description=3),
]


@pytest.mark.parametrize(
    ("script", "numbers", "fault"),
    [
        (Script(states=("RUNNING", "EXPIRED", "RUNNING", "SUCCEEDED")), (), None),
        (Script(running=6), (3, 4), Fault.json({"code": 5, "message": "Run not found"}, 404)),
        (Script(), {2}, edited(run_id="another", state="SUCCEEDED")),
        *((Script(), ALWAYS, fault) for fault in SHOWN),
    ],
)
def test_a_state_may_change_and_what_is_only_shown_decides_nothing(here, script, numbers, fault):
    here.dspa.script, here.dspa.fault = script, on_get(numbers, fault)
    assert here.submit(unknown=9, vanished=9).verdict.passed


@pytest.mark.parametrize(
    "fault",
    [
        *(Fault.reset(), Fault.busy(503), Fault.busy(429), Fault.login_page(), Fault.truncated()),
        Fault.status(404, "<html>of the router</html>", "text/html"),
    ],
)
def test_a_burst_of_failures_is_retried(here, fault):
    here.dspa.fault = on_get(range(2, 7), fault)
    assert here.submit(outage=20, refused=20, vanished=0.01).verdict.passed
    assert here.count("create_run") == 1
    assert here.said.count("the DSPA answers again") == 1


def test_each_change_is_shown_once_from_the_beginning_to_the_end(here):
    here.dspa.script = Script(states=(*["PENDING"] * 9, "RUNNING", "PAUSED", *["RUNNING"] * 9, "SUCCEEDED"))
    assert here.submit().state == "SUCCEEDED"
    assert states(here) == ["PENDING", "RUNNING", "PAUSED", "SUCCEEDED"]
    assert all(one != other for one, other in zip(here.shown, here.shown[1:], strict=False))


@pytest.mark.parametrize("ends_as", ["FAILED", "CANCELED"])
def test_a_run_that_another_client_cancels_has_failed(here, ends_as):
    here.dspa.script = Script(never_ends=True, canceled=ends_as)
    here.dspa.fault = nth("get_run", {3: lambda: here.client().terminate(here.runs()[0].run_id)})
    here.ends_in(RunFailed, "was cancelled", canceling=9)
    assert states(here) == ["PENDING", "RUNNING", "CANCELING", ends_as]


def test_a_follower_never_terminates_and_needs_the_id_of_a_run(here):
    here.dspa.script, here.expires = FOREVER, "RUNNING"
    run = here.begin()
    with pytest.raises(DeadlineOver, match=f"run {run.run_id} continues") as caught:
        here.follow(run.run_id)
    assert (caught.value.details["run_id"], here.count("terminate")) == (run.run_id, 0)
    for run_id, message in (("0000", "there is no run 0000"), ("../x", "is not the id of a run")):
        with pytest.raises(UsageError, match=message):
            here.follow(run_id)


@pytest.mark.parametrize("profile", PROFILES)
def test_the_states_of_the_tasks_are_shown_whatever_the_server(here, profile):
    here.dspa.profile = profile
    here.dspa.script = Script(running=len(pipeline().tasks) + 1)
    here.submit()
    shown = [tasks for _, tasks in here.shown if tasks]
    assert {name for tasks in shown for name in tasks} == set(pipeline().tasks)
    assert list(shown[0]) == ["champion"]
    for name in pipeline().tasks:
        seen = list(dict.fromkeys(tasks[name] for tasks in shown if name in tasks))
        assert seen in (["RUNNING", "SUCCEEDED"], ["RUNNING"]), (name, seen)


DONE = "SUCCEEDED"
TRIED = [("make-driver(0)", DONE), ("make(0)", "RUNNING"), ("executor(0)", "RUNNING")]
ROOT = [("root-driver", DONE), ("root", "RUNNING"), ("", "RUNNING"), ("jukebox-x7k2", "RUNNING")]
BROKEN = [("root-driver", DONE), ("convert-driver", "FAILED"), ("train-driver", DONE), ("train", DONE)]
UNBEGUN = [("fetch-driver", DONE), ("fetch", None), ("save-driver", DONE)]


@pytest.mark.parametrize(
    ("state", "field", "nodes", "shown"),
    [
        ("FAILED", "details", BROKEN, {"convert": "FAILED", "train": DONE}),
        ("RUNNING", "details", UNBEGUN, {"fetch": "PENDING", "save": "PENDING"}),
        ("FAILED", "details", UNBEGUN, {"fetch": "NOT STARTED", "save": "NOT STARTED"}),
        ("RUNNING", "tasks", [("fetch", None)], {"fetch": "PENDING"}),
        ("RUNNING", "details", [*ROOT, *TRIED], {"make": "RUNNING"}),
        ("RUNNING", "tasks", [("ROOT", "RUNNING"), ("make", "RUNNING")], {"make": "RUNNING"}),
    ],
)
def test_drivers_tries_and_the_root_are_no_tasks(state, field, nodes, shown):
    listed = [{"display_name": name, **({"state": value} if value else {})} for name, value in nodes]
    known = {"run_id": "r", "experiment_id": "e", "display_name": "n", "created_at": "2026-01-01T00:00:00Z"}
    told = {"run_details": {"task_details": listed}} if field == "details" else {"tasks": listed}
    assert task_states(Run.model_validate({**known, "state": state, **told})) == shown


def test_an_older_server_is_asked_for_the_full_view_once(here):
    refused = Fault.json({"code": 3, "message": 'unknown query parameter "view"'}, 400)
    here.dspa.fault = lambda request: refused if "view" in request.query else None
    assert here.submit().verdict.passed
    assert sum("view" in request.query for request in here.dspa.requests) == 1


def test_a_rotated_token_is_read_again_and_one_that_stays_refused_ends_it(here):
    here.token_file = here.home / "token"
    here.token_file.write_text("first")
    here.dspa.tokens = {"first"}
    rotate = {2: lambda: here.dspa.tokens.symmetric_difference_update({"first", "second"})}
    here.dspa.fault = nth("get_run", {**rotate, 5: lambda: here.token_file.write_text("second\n")})
    assert here.submit(refused=20).verdict.passed
    gets = [request.headers["Authorization"] for request in here.dspa.requests if request.kind == "get_run"]
    assert gets[:6] == ["Bearer first"] * 5 + ["Bearer second"]
    assert here.count("create_run") == 1
    here.dspa.fault = nth("get_run", {1: here.dspa.tokens.clear})
    told = "refused .HTTP 401.*the token is not accepted.*continues: see `jukebox follow"
    error = here.ends_in(Refused, told, submission=here.submission("another"))
    assert (here.runs()[-1].terminated, "second" in str(error)) == (False, False)


def test_retry_after_is_obeyed(here):
    asked = {}
    busy = on_get({3}, Fault.busy(429, retry_after="1"))
    here.dspa.fault = lambda request: asked.update({request.number: time.monotonic()}) or busy(request)
    assert here.submit(outage=20).verdict.passed
    third = [request.number for request in here.dspa.requests if request.kind == "get_run"][2]
    assert asked[third + 1] - asked[third] >= 1

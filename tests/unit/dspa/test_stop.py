"""The runs of a submission that is interrupted early are terminated, or named in its last line."""

import pytest
from dspa_server import Fault, Script
from submissions import nth

from ml.core.errors import Interrupted, RunFailed

TERMINATED = r"interrupted; run \S+ was terminated$"
UNKNOWN = (
    "interrupted; a run was requested and has not appeared; if it appears later, the same --attempt adopts it"
)


@pytest.mark.parametrize(
    ("kind", "fault", "leave", "message", "terminated"),
    [
        ("list_runs", Fault.busy(), False, "interrupted; no run is left running", []),
        ("create_run", Fault.reset(), False, UNKNOWN, []),
        ("create_run", Fault.reset(after=True), False, TERMINATED, [True]),
        ("create_run", Fault.reset(after=True), True, "a run may be left running: submit again", [False]),
        ("get_run", Fault.busy(), True, "the run is left running: `jukebox follow", [False]),
    ],
)
def test_the_runs_of_an_interrupted_submission(here, kind, fault, leave, message, terminated):
    class Said(list):
        def append(self, line: str) -> None:
            if "looking up the run" in line or "retrying for up to" in line:
                raise Interrupted

    strikes, ends = nth(kind, {1: fault}), nth("list_runs", {3: here.expire})
    here.said, here.dspa.script = Said(), Script(never_ends=True)
    here.dspa.fault = lambda request: strikes(request) or ends(request)
    with pytest.raises(RunFailed, match=message) as caught:
        here.submit(stop=60, leave_running=leave)
    assert caught.value.details["interrupted"] is True
    assert [run.terminated for run in here.runs()] == terminated


@pytest.mark.parametrize(
    ("struck", "message"),
    [
        ("terminate", r"interrupted; run \S+ may still be running and could not be terminated: not done"),
        ("get_run", r"interrupted; run \S+ was terminated and has not ended"),
    ],
)
def test_a_run_that_cannot_be_terminated_or_does_not_end_is_named(here, struck, message):
    def stop(state: str, _) -> None:
        if state == "RUNNING":
            here.dspa.fault = lambda one: Fault.busy() if one.kind == struck and not here.expire() else None
            raise Interrupted

    here.show, here.dspa.script = stop, Script(never_ends=True)
    with pytest.raises(RunFailed, match=message):
        here.submit(stop=60)

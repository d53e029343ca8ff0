"""Runs are really executed: the IR's own code, with the run's id, parameters and secrets."""

import time

import pytest
from processes import processes_of, wait_for

from dspa_server import Dspa, kfp_local, serving
from dspa_server.samples import Api


@pytest.fixture
def start(tmp_path, ir):
    """Serve a DSPA that executes runs, and start one; gives the API and the run's id."""
    served = []

    def begin(secrets=None, **parameters):
        secrets = {"token": {"value": "hush"}} if secrets is None else secrets
        executor = kfp_local(tmp_path / "runs", {"TARGET": str(tmp_path / "target")}, secrets)
        served.append(serving(Dspa(executor=executor)))
        api = Api(served[0].__enter__(), ir)
        return api, api.begin(runtime_config={"parameters": {"text": "hello", **parameters}})["run_id"]

    yield begin
    served[0].__exit__(None, None, None)
    wait_for(lambda: not processes_of(tmp_path))


def ended(api, run_id):
    """Wait for the end of a run."""
    end = time.monotonic() + 60
    while (run := api.get(f"/runs/{run_id}").json())["state"] in {"PENDING", "RUNNING", "CANCELING"}:
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return run


def test_a_run_that_succeeds_did_its_work(tmp_path, start):
    finished = []
    api, run_id = start(number=3)
    api.dspa.on_finish = finished.append
    run = ended(api, run_id)
    assert run["state"] == "SUCCEEDED", (tmp_path / "runs" / run_id / "run.log").read_text()
    assert (tmp_path / "target").read_text() == f"hello 3 {run_id} hush"
    tasks = api.get(f"/runs/{run_id}").json()["run_details"]["task_details"]
    assert {"write", "fail-if-asked"} <= {task["display_name"] for task in tasks}
    assert [one.run_id for one in finished] == [run_id]
    assert run["state_history"][0]["state"] == "PENDING"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"text": "fail"}, "it was asked to fail"),
        ({"secrets": {}}, '"token" with the key "value" not found'),
        ({"secrets": {"token": {"other": "x"}}}, '"token" with the key "value" not found'),
    ],
)
def test_a_failing_step_or_a_missing_secret_fails_the_run(tmp_path, start, options, said):
    api, run_id = start(**options)
    assert ended(api, run_id)["state"] == "FAILED"
    assert [run["state"] for run in api.get("/runs").json()["runs"]] == ["FAILED"]
    assert said in (tmp_path / "runs" / run_id / "run.log").read_text()
    assert (tmp_path / "target").exists() == ("secrets" not in options)


@pytest.mark.parametrize("how", ["terminate", "shutdown"])
def test_no_process_outlives_its_run_or_the_server(tmp_path, start, how):
    api, run_id = start(text="sleep")
    wait_for(lambda: processes_of(tmp_path))
    if how == "terminate":
        api.post(f"/runs/{run_id}:terminate")
        assert api.states(run_id, 3) == ["CANCELING", "CANCELING", "FAILED"]
        wait_for(lambda: not processes_of(tmp_path))


def test_events_of_the_steps_are_the_states_of_the_tasks(tmp_path, start):
    api, run_id = start(text="sleep")
    told = '{"step": "write", "event": "end"}\n{"step": "fail-if-asked", "event": "start"}\n{"half'
    (tmp_path / "runs" / run_id / "events.jsonl").write_text(told)
    details = api.get(f"/runs/{run_id}").json()["run_details"]["task_details"]
    states = {task["display_name"]: task["state"] for task in details}
    assert (states["write"], states["fail-if-asked"]) == ("SUCCEEDED", "RUNNING")

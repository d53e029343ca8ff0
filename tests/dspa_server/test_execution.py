"""Runs are really executed: the IR's own code, with the run's id, parameters and secrets."""

import time

import pytest
from processes import processes_of, wait_for

from dspa_server import Dspa, kfp_local, serving
from dspa_server.samples import Api

SECRETS = {"token": {"value": "hush"}}


def executing(folder, secrets=SECRETS):
    return Dspa(executor=kfp_local(folder / "runs", {"TARGET": str(folder / "target")}, secrets))


def ended(api, run_id):
    """Wait for a run's end."""
    end = time.monotonic() + 60
    while (run := api.get(f"/runs/{run_id}").json())["state"] in {"PENDING", "RUNNING", "CANCELING"}:
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return run


def test_a_run_that_succeeds_did_its_work(tmp_path, ir):
    finished = []
    with serving(executing(tmp_path)) as dspa:
        dspa.on_finish = finished.append
        api = Api(dspa, ir)
        run_id = api.begin(runtime_config={"parameters": {"text": "hello", "number": 3}})["run_id"]
        run = ended(api, run_id)
        tasks = api.get(f"/runs/{run_id}").json()["run_details"]["task_details"]
    log = (tmp_path / "runs" / run_id / "run.log").read_text()
    assert run["state"] == "SUCCEEDED", log
    assert (tmp_path / "target").read_text() == f"hello 3 {run_id} hush"
    assert {"write", "fail-if-asked"} <= {task["display_name"] for task in tasks}
    assert [found.run_id for found in finished] == [run_id]
    assert run["state_history"][0]["state"] == "PENDING"


def test_a_step_that_fails_fails_the_run(tmp_path, ir):
    with serving(executing(tmp_path)) as dspa:
        api = Api(dspa, ir)
        run_id = api.begin(runtime_config={"parameters": {"text": "fail"}})["run_id"]
        assert ended(api, run_id)["state"] == "FAILED"
        assert [run["state"] for run in api.get("/runs").json()["runs"]] == ["FAILED"]
    assert "it was asked to fail" in (tmp_path / "runs" / run_id / "run.log").read_text()


@pytest.mark.parametrize("secrets", [{}, {"token": {"other": "x"}}])
def test_a_missing_secret_fails_the_run(tmp_path, ir, secrets):
    with serving(executing(tmp_path, secrets)) as dspa:
        api = Api(dspa, ir)
        run_id = api.begin()["run_id"]
        assert ended(api, run_id)["state"] == "FAILED"
    assert '"token" with the key "value" not found' in (tmp_path / "runs" / run_id / "run.log").read_text()
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("how", ["terminate", "shutdown"])
def test_no_process_outlives_its_run_or_the_server(tmp_path, ir, how):
    with serving(executing(tmp_path)) as dspa:
        api = Api(dspa, ir)
        run_id = api.begin(runtime_config={"parameters": {"text": "sleep"}})["run_id"]
        wait_for(lambda: processes_of(tmp_path))
        if how == "terminate":
            api.post(f"/runs/{run_id}:terminate")
            assert api.states(run_id, 3) == ["CANCELING", "CANCELING", "FAILED"]
    wait_for(lambda: not processes_of(tmp_path))


def test_events_of_the_steps_are_the_states_of_the_tasks(tmp_path, ir):
    with serving(executing(tmp_path)) as dspa:
        api = Api(dspa, ir)
        run_id = api.begin(runtime_config={"parameters": {"text": "sleep"}})["run_id"]
        told = '{"step": "write", "event": "end"}\n{"step": "fail-if-asked", "event": "start"}\n{"half'
        (tmp_path / "runs" / run_id / "events.jsonl").write_text(told)
        details = api.get(f"/runs/{run_id}").json()["run_details"]["task_details"]
    states = {task["display_name"]: task["state"] for task in details}
    assert (states["write"], states["fail-if-asked"]) == ("SUCCEEDED", "RUNNING")

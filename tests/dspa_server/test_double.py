"""What only the double does: a run by a script, faults of the network, and runs that are really executed."""

from urllib.parse import quote

import pytest
import requests
from processes import processes_of, wait_for

from dspa_server import Dspa, Fault, Script, kfp_local, serving
from dspa_server.samples import Api, named, refused


def test_an_older_server_refuses_newer_fields(dspa, api, ir):
    kubernetes = ir["platform_spec"]["platforms"]["kubernetes"]
    newer = {**kubernetes, "pipelineConfig": {"activeDeadlineSeconds": 60}}
    given = {"pipeline_spec": {**ir, "platform_spec": {"platforms": {"kubernetes": newer}}}}
    assert api.begin(**given)
    dspa.profile = "2.5"
    assert "pipelineConfig" in refused(api.post("/runs", api.body(**given)), 500, 13)


@pytest.mark.parametrize(("name", "taken_for"), [("a+b", "a b"), ("50%25", "50%"), ("%41", "A")])
def test_a_filter_is_unescaped_twice(api, name, taken_for):
    for each in (name, taken_for):
        api.begin(each)
    for asked, shown in ((name, taken_for), (quote(name), name)):
        listed = api.get("/runs", filter=named(asked)).json()["runs"]
        assert [run["display_name"] for run in listed] == [shown]
    for wrong in (named("50%"), named(5), named("x", "LESS"), named("x", key="colour"), named("x", more=1)):
        refused(api.get("/runs", filter=wrong), 400, 3)


def test_the_end_calls_back_once_before_it_shows_and_tasks_lag_behind(dspa, api):
    seen = []
    dspa.on_finish = lambda run: seen.append((run.run_id, run.state))
    dspa.script = Script(final="FAILED", failed_task="fail-if-asked")
    run_id = api.begin()
    answers = [api.run(run_id) for _ in range(5)]
    assert seen == [(run_id, "RUNNING")]
    assert [len(answer["state_history"]) for answer in answers] == [1, 2, 2, 3, 3]
    assert [answer["finished_at"] < "2000" for answer in answers] == [True] * 3 + [False] * 2
    details = [answer.get("run_details", {}).get("task_details", []) for answer in answers]
    states = [{task["display_name"]: task["state"] for task in tasks} for tasks in details]
    assert (states[0], states[1]["write"], answers[3]["state"]) == ({}, "RUNNING", "FAILED")
    assert [states[n]["fail-if-asked"] for n in (3, 4)] == ["RUNNING", "FAILED"]
    assert states[4]["write"] == "SUCCEEDED"


def test_an_error_in_a_callback_reaches_the_test():
    with pytest.raises(ZeroDivisionError), serving(Dspa(fault=lambda request: 1 / 0)) as dspa:
        assert Api(dspa, {}).get("/healthz").status_code == 500


# Faults.


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("make", "said"),
    [
        *((Fault.reset, "reset"), (Fault.close, "without response"), (Fault.gateway_timeout, "504")),
        (lambda after: Fault.hang(0.05, after=after), "without response"),
        (lambda after: Fault.late_commit(0.2 if after else 600), "504"),
        (lambda after: Fault.late_commit(0.2 if after else 600, reset=True), "reset"),
    ],
)
def test_a_fault_before_or_after_the_commit(dspa, api, make, said, after):
    dspa.fault = lambda _: make(after=after)
    try:
        answered = str(api.post("/runs", api.body()).status_code)
    except requests.ConnectionError as error:
        answered = str(error)
    assert said in answered
    dspa.wait(lambda dspa: len(dspa.runs) == after)


# Runs that are executed.


@pytest.fixture
def start(tmp_path, ir):
    """Serve a DSPA that executes runs, and start one; gives the API and the run's id."""
    served = []

    def begin(secrets=None, **parameters):
        secrets = {"token": {"value": "hush"}} if secrets is None else secrets
        executor = kfp_local(tmp_path / "runs", {"TARGET": str(tmp_path / "target")}, secrets)
        served.append(serving(Dspa(executor=executor)))
        api = Api(served[0].__enter__(), ir)
        return api, api.begin(runtime_config={"parameters": {"text": "hello", **parameters}})

    yield begin
    served[0].__exit__(None, None, None)
    wait_for(lambda: not processes_of(tmp_path))


def ended(api, run_id):
    """Wait for the end of a run."""
    wait_for(lambda: api.run(run_id)["state"] not in {"PENDING", "RUNNING", "CANCELING"})
    return api.run(run_id)["state"]


def tasks(api, run_id):
    details = api.run(run_id)["run_details"]["task_details"]
    return {task["display_name"]: task["state"] for task in details}


def test_a_run_that_succeeds_did_its_work(tmp_path, start):
    api, run_id = start(number=3)
    assert ended(api, run_id) == "SUCCEEDED", (tmp_path / "runs" / run_id / "run.log").read_text()
    assert (tmp_path / "target").read_text() == f"hello 3 {run_id} hush"
    assert tasks(api, run_id)["fail-if-asked"] == "SUCCEEDED"


MISSING = '"token" with the key "value" not found'


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"text": "fail"}, "it was asked to fail"),
        ({"secrets": {}}, MISSING),
        ({"secrets": {"token": {"other": "x"}}}, MISSING),
    ],
)
def test_a_failing_step_or_a_missing_secret_fails_the_run(tmp_path, start, options, said):
    api, run_id = start(**options)
    assert ended(api, run_id) == "FAILED"
    assert said in (tmp_path / "runs" / run_id / "run.log").read_text()
    assert (tmp_path / "target").exists() == ("secrets" not in options)


@pytest.mark.parametrize("how", ["terminate", "shutdown"])
def test_no_process_outlives_its_run_or_the_server(tmp_path, start, how):
    api, run_id = start(text="sleep")
    wait_for(lambda: processes_of(tmp_path))
    told = '{"step": "write", "event": "end"}\n{"step": "fail-if-asked", "event": "start"}\n{"half'
    (tmp_path / "runs" / run_id / "events.jsonl").write_text(told)
    assert tasks(api, run_id).items() >= {"write": "SUCCEEDED", "fail-if-asked": "RUNNING"}.items()
    if how == "terminate":
        api.post(f"/runs/{run_id}:terminate")
        assert [api.run(run_id)["state"] for _ in range(3)] == ["CANCELING", "CANCELING", "FAILED"]
        wait_for(lambda: not processes_of(tmp_path))

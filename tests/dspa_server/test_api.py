"""Behaviour of the double that its users do not show: messages, refusals, the callback at the end, tasks."""

import itertools
import json
from urllib.parse import quote

import pytest

from dspa_server import Dspa, Fault, Script, serving
from dspa_server.samples import HEALTH, Api, dial, nested, refused
from dspa_server.specs import task_names


def test_empty_fields_are_omitted_and_numbers_are_doubles(dspa, api):
    assert {"description", "error", "run_details"}.isdisjoint(api.begin())
    assert "description" not in api.post("/experiments", {"display_name": "bare"}).json()
    parameters = {"text": "x", "number": 3.0, "share": 2**53 + 1}
    kept = api.begin(runtime_config={"parameters": parameters})["runtime_config"]["parameters"]
    assert (json.dumps(kept["number"]), kept["share"]) == ("3", 2**53)
    dspa.health = {"multi_user": True, "tag_name": None}
    assert "tag_name" not in api.get("/healthz").json()


def test_unknown_fields_and_missing_objects_are_refused(api):
    assert 'unknown field "surprise"' in refused(api.post("/runs", api.run_body(surprise=1)), 400, 3)
    config = {"parameters": {}, "root": "x"}
    assert 'unknown field "root"' in refused(api.post("/runs", api.run_body(runtime_config=config)), 400, 3)
    refused(api.post("/runs", api.run_body(display_name=5)), 400, 3)
    assert api.post("/runs", {**api.run_body(), "displayName": "either spelling"}).status_code == 200
    for path in ("/experiments/none", "/nothing"):
        refused(api.get(path), 404, 5)
    refused(api.post("/runs/none:terminate"), 404, 5)
    refused(api.post("/runs", api.run_body(experiment_id="none")), 404, 5)
    refused(api.post("/healthz"), 501, 12)


INFO = {"pipelineInfo": {"name": "x"}}
SPECS = (None, {"not": "a pipeline"}, {**INFO, "surprise": 1}, {**INFO, "schemaVersion": "2.0.0"})


@pytest.mark.parametrize("change", [{"display_name": ""}, *({"pipeline_spec": spec} for spec in SPECS)])
def test_no_name_or_no_pipeline_is_an_internal_error(dspa, api, change):
    refused(api.post("/runs", api.run_body(**change)), 500, 13)
    assert dspa.runs == {}


def test_an_older_server_refuses_newer_fields(dspa, api, ir):
    dspa.profile = "2.5"
    answer = api.post("/runs", api.run_body(plugins_input={})).json()
    assert (answer["error"] == answer["message"], "plugins_input" in answer["message"]) == (True, True)
    spec = nested(ir)
    spec["platform_spec"]["platforms"]["kubernetes"]["pipelineConfig"] = {"activeDeadlineSeconds": 60}
    assert api.post("/runs", api.run_body(pipeline_spec=spec)).status_code == 500
    dspa.profile = "2.16"
    assert api.post("/runs", api.run_body(pipeline_spec=spec)).status_code == 200


def listed(api, name, **more):
    predicate = {"operation": "EQUALS", "key": "display_name", "string_value": name, **more}
    return api.get("/runs", filter=json.dumps({"predicates": [predicate]}))


@pytest.mark.parametrize(("name", "taken_for"), [("a+b", "a b"), ("50%25", "50%"), ("%41", "A")])
def test_a_filter_is_unescaped_twice(api, name, taken_for):
    api.begin(name)
    api.begin(taken_for)
    for asked, found in ((name, taken_for), (quote(name), name)):
        assert [run["display_name"] for run in listed(api, asked).json()["runs"]] == [found]


def test_filters_and_pages_that_are_refused(api):
    for change in ({"name": "50%"}, {"name": 5}, {"operation": "LESS"}, {"key": "colour"}, {"surprise": 1}):
        refused(listed(api, **{"name": "x", **change}), 400, 3)
    tokens = [{"page_token": made_up} for made_up in ("2", "e30=", "bm90IGpzb24=")]
    for query in (
        *tokens,
        {"filter": "x"},
        {"sort_by": "colour"},
        {"sort_by": "name up"},
        {"page_size": "many"},
    ):
        refused(api.get("/runs", **query), 400, 3)


def test_the_end_calls_back_once_before_it_shows_and_tasks_lag_behind(dspa, api):
    seen = []
    dspa.on_finish = lambda run: seen.append((run.run_id, run.state))
    dspa.script = Script(final="FAILED", failed_task="fail-if-asked")
    run_id = api.begin()["run_id"]
    answers = [api.get(f"/runs/{run_id}").json() for _ in range(5)]
    assert seen == [(run_id, "RUNNING")]
    assert [len(answer["state_history"]) for answer in answers] == [1, 2, 2, 3, 3]
    assert [answer["finished_at"] == "1970-01-01T00:00:00Z" for answer in answers] == [True] * 3 + [False] * 2
    details = [answer.get("run_details", {}).get("task_details", []) for answer in answers]
    states = [{task["display_name"]: task["state"] for task in tasks} for tasks in details]
    assert (states[0], states[1]["write"], answers[3]["state"]) == ({}, "RUNNING", "FAILED")
    assert [states[n]["fail-if-asked"] for n in (3, 4)] == ["RUNNING", "FAILED"]
    assert states[4]["write"] == "SUCCEEDED"
    assert all("error" not in answer for answer in answers)


def test_tasks_have_one_order_whatever_the_order_of_a_specifications_keys():
    needs = {"fetch": [], "champion": [], "train": ["fetch", "champion"], "audit": ["fetch"]}
    tasks = {name: {"dependentTasks": before} for name, before in needs.items()}
    orders = itertools.permutations(tasks.items())
    listed = {tuple(task_names({"root": {"dag": {"tasks": dict(order)}}})) for order in orders}
    assert listed == {("champion", "fetch", "audit", "train")}


def test_newer_servers_show_tasks_on_request(dspa, api):
    dspa.profile = "next"
    run_id = api.begin()["run_id"]
    api.states(run_id, 3)
    assert {"run_details", "tasks"}.isdisjoint(api.get(f"/runs/{run_id}").json())
    full = api.get(f"/runs/{run_id}", view="FULL").json()
    assert [task["name"] for task in full["tasks"]] == ["root", "write", "fail-if-asked"]
    refused(api.get(f"/runs/{run_id}", view="HALF"), 400, 3)


def test_connections_are_kept_and_dropped_at_the_end_which_waits_for_no_client():
    with serving(Dspa()) as dspa:
        connection = dial(dspa)
        for _ in range(2):
            connection.sendall(HEALTH)
            assert connection.recv(4096).startswith(b"HTTP/1.1 200 OK")
        dspa.fault = lambda request: Fault.hang(600)
        connection.sendall(HEALTH)
        dspa.wait(lambda dspa: len(dspa.requests) == 3)
    assert connection.recv(1) == b""
    connection.close()


def test_an_error_in_a_callback_reaches_the_test():
    with pytest.raises(ZeroDivisionError), serving(Dspa(fault=lambda request: 1 / 0)) as dspa:
        assert Api(dspa).get("/healthz").status_code == 500

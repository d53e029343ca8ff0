"""The API seen without a client: errors, numbers, lists, how runs proceed, and the server itself."""

import itertools
import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote, urlsplit

import pytest
import requests

from dspa_server import PROFILES, Dspa, Fault, Script, serving
from dspa_server.samples import HEALTH, Api, dial, nested, refused
from dspa_server.specs import task_names


def test_requests_are_recorded_with_their_kinds(dspa, api):
    run_id = api.begin()["run_id"]
    api.get(f"/runs/{run_id}", view="FULL")
    api.get("/runs", page_size=1)
    api.post(f"/runs/{run_id}:archive")
    api.get("/elsewhere")
    assert [item.kind for item in dspa.requests] == ["create_run", "get_run", "list_runs", "archive", "other"]
    assert [item.number for item in dspa.requests] == [1, 2, 3, 4, 5]
    assert dspa.requests[1].query == {"view": "FULL"}
    assert json.loads(dspa.requests[0].body)["display_name"] == "a run"


def test_tokens_rights_and_health(dspa, api):
    for dspa.profile in PROFILES:
        assert api.get("/healthz").json()["tag_name"] == dspa.version.tag_name
    dspa.health = {"multi_user": True, "tag_name": None}
    assert "tag_name" not in api.get("/healthz").json()
    dspa.tokens, dspa.forbidden = {"good"}, lambda request: request.method == "POST"
    url, good = f"{dspa.url}/apis/v2beta1/experiments", {"Authorization": "Bearer good"}
    bad = requests.get(url, headers={"Authorization": "Bearer bad"}, timeout=20)
    assert (bad.status_code, bad.headers["Content-Type"]) == (401, "text/plain; charset=utf-8")
    assert (api.get("/healthz").status_code, api.get("/healthz").text) == (401, "Unauthorized\n")
    assert requests.get(url, headers=good, timeout=20).status_code == 200
    forbidden = requests.post(url, json={"display_name": "x"}, headers=good, timeout=20)
    assert (forbidden.status_code, forbidden.text.startswith("Forbidden (user=")) == (403, True)


def test_the_clock_can_be_wrong(dspa, api):
    dspa.clock_skew = 86400
    ahead = parsedate_to_datetime(api.get("/healthz").headers["Date"]) - datetime.now(UTC)
    assert 80000 < ahead.total_seconds() < 90000
    assert datetime.fromisoformat(api.begin()["created_at"]) > datetime.now(UTC)


# Messages.


def test_empty_fields_are_omitted_and_numbers_are_doubles(api):
    assert {"description", "error", "run_details"}.isdisjoint(api.begin())
    assert "description" not in api.post("/experiments", {"display_name": "bare"}).json()
    parameters = {"text": "x", "number": 3.0, "share": 2**53 + 1}
    kept = api.begin(runtime_config={"parameters": parameters})["runtime_config"]["parameters"]
    assert (json.dumps(kept["number"]), kept["share"]) == ("3", 2**53)


def test_unknown_fields_are_refused(api):
    assert 'unknown field "surprise"' in refused(api.post("/runs", api.run_body(surprise=1)), 400, 3)
    config = {"parameters": {}, "root": "x"}
    assert 'unknown field "root"' in refused(api.post("/runs", api.run_body(runtime_config=config)), 400, 3)
    refused(api.post("/experiments", {"name": "v1"}), 400, 3)
    refused(api.post("/runs", api.run_body(display_name=5)), 400, 3)
    assert api.post("/runs", {**api.run_body(), "displayName": "either spelling"}).status_code == 200


def test_an_older_server_refuses_newer_fields(dspa, api, ir):
    dspa.profile = "2.5"
    answer = api.post("/runs", api.run_body(plugins_input={})).json()
    assert (answer["error"] == answer["message"], "plugins_input" in answer["message"]) == (True, True)
    spec = nested(ir)
    spec["platform_spec"]["platforms"]["kubernetes"]["pipelineConfig"] = {"activeDeadlineSeconds": 60}
    assert api.post("/runs", api.run_body(pipeline_spec=spec)).status_code == 500
    dspa.profile = "2.16"
    assert api.post("/runs", api.run_body(pipeline_spec=spec)).status_code == 200


INFO = {"pipelineInfo": {"name": "x"}}


@pytest.mark.parametrize(
    "change",
    [
        {"display_name": ""},
        *(
            {"pipeline_spec": spec}
            for spec in (
                None,
                {"not": "a pipeline"},
                {**INFO, "surprise": 1},
                {**INFO, "schemaVersion": "2.0.0"},
            )
        ),
    ],
)
def test_no_name_or_no_pipeline_is_an_internal_error(dspa, api, change):
    refused(api.post("/runs", api.run_body(**change)), 500, 13)
    assert dspa.runs == {}


# Lists.

PREDICATE = {"operation": "EQUALS", "key": "display_name", "string_value": "x"}


def names(api, name, **predicate):
    predicates = [{**PREDICATE, "string_value": name, **predicate}]
    response = api.get("/runs", filter=json.dumps({"predicates": predicates}))
    return [run["display_name"] for run in response.json().get("runs", [])]


@pytest.mark.parametrize(("name", "taken_for"), [("a+b", "a b"), ("50%25", "50%"), ("%41", "A")])
def test_a_filter_is_unescaped_twice(api, name, taken_for):
    api.begin(name)
    api.begin(taken_for)
    assert names(api, name) == [taken_for]
    assert names(api, quote(name)) == [name]


def test_filters_and_refused_ones(api):
    api.begin("one")
    api.begin("two")
    assert names(api, "one", key="name", operation=1) == ["one"]
    assert names(api, "w", operation="IS_SUBSTRING") == ["two"]
    for change in (
        *({"string_value": value} for value in ("50%", 5)),
        *({"operation": "GREATER_THAN"}, {"key": "pipeline_color"}, {"surprise": 1}),
    ):
        refused(api.get("/runs", filter=json.dumps({"predicates": [{**PREDICATE, **change}]})), 400, 3)
    refused(api.get("/runs", filter="not json"), 400, 3)


def test_pages(dspa, api):
    for number in range(5):
        api.begin(f"run {number}")
    descending = {"sort_by": "display_name desc"}
    token, shown, pages = "", [], []
    for query in (descending, {}, descending):  # later pages may repeat the order
        page = api.get("/runs", page_size=2, page_token=token, **query).json()
        token = page.get("next_page_token")
        pages.append(token)
        shown += [run["display_name"] for run in page["runs"]]
        assert page["total_size"] == 5
    assert shown == [f"run {number}" for number in (4, 3, 2, 1, 0)]
    assert token is None
    assert "does not match" in refused(api.get("/runs", page_token=pages[0], sort_by="created_at"), 400, 3)
    for query in (
        *({"page_token": made_up} for made_up in ("2", "e30=", "bm90IGpzb24=")),
        *({"sort_by": "colour"}, {"sort_by": "name upwards"}, {"page_size": "many"}),
    ):
        refused(api.get("/runs", **query), 400, 3)


def test_a_lagging_list(dspa, api):
    dspa.list_lag = 2
    run_id = api.begin()["run_id"]
    assert api.get("/runs").json() == api.get("/runs").json() == {}
    assert api.get(f"/runs/{run_id}").json()["state"] == "PENDING"
    assert api.get("/runs").json()["total_size"] == 1


# How runs proceed.


def test_states_follow_the_script(dspa, api):
    dspa.script = lambda run: Script(pending=2, running=1, final="SKIPPED")
    assert api.states(api.begin()["run_id"], 5) == ["PENDING", "PENDING", "RUNNING", "SKIPPED", "SKIPPED"]
    dspa.script = Script(states=("PAUSED", "EXPIRED", None, "CANCELED"))
    assert api.states(api.begin()["run_id"], 5) == ["PAUSED", "EXPIRED", None, "CANCELED", "CANCELED"]
    dspa.script = Script(never_ends=True)
    assert set(api.states(api.begin()["run_id"], 20)) == {"PENDING", "RUNNING"}
    dspa.runs.clear()
    dspa.script = Script(vanish_after=2)
    run_id = api.begin()["run_id"]
    api.states(run_id, 2)
    refused(api.get(f"/runs/{run_id}"), 404, 5)
    assert api.get("/runs").json() == {}


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
    assert not any({"inputs", "outputs"} & set(task) for task in details[4])


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
    dspa.profile = "2.16"
    assert "tasks" not in api.get(f"/runs/{run_id}", view="FULL").json()


def test_termination_takes_a_while_and_works_once(dspa, api):
    run_id = api.begin()["run_id"]
    assert api.post(f"/runs/{run_id}:terminate").json() == {}
    refused(api.post(f"/runs/{run_id}:terminate"), 400, 3)
    assert api.states(run_id, 4) == ["CANCELING", "CANCELING", "FAILED", "FAILED"]
    assert dspa.runs[run_id].terminated
    refused(api.post(f"/runs/{run_id}:terminate"), 400, 3)
    dspa.script = Script(canceling=None)
    run_id = api.begin()["run_id"]
    api.post(f"/runs/{run_id}:terminate")
    assert set(api.states(run_id, 9)) == {"CANCELING"}


# The server itself.


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


def test_a_server_restarts_at_its_port(ir):
    dspa = Dspa()
    with serving(dspa):
        run_id = Api(dspa, ir).begin()["run_id"]
        port = urlsplit(dspa.url).port
    with pytest.raises(requests.ConnectionError):
        Api(dspa).get("/healthz")
    with serving(dspa, port=port):
        assert Api(dspa).get(f"/runs/{run_id}").status_code == 200


def test_an_error_in_a_callback_reaches_the_test():
    with pytest.raises(ZeroDivisionError), serving(Dspa(fault=lambda request: 1 / 0)) as dspa:
        assert Api(dspa).get("/healthz").status_code == 500

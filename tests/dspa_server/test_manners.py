"""The double has the API's manners, seen without a client that would smooth them over."""

import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest
import requests

from dspa_server import PROFILES, Dspa, serving
from dspa_server.samples import Api, nested, refused


@pytest.mark.parametrize("profile", PROFILES)
def test_health_is_behind_auth_and_tells_the_version(dspa, api, profile):
    dspa.profile = profile
    assert api.get("/healthz").json()["tag_name"] == PROFILES[profile].tag_name
    dspa.health = {"multi_user": True, "tag_name": None}
    assert "tag_name" not in api.get("/healthz").json()
    dspa.tokens = {"good"}
    assert (api.get("/healthz").status_code, api.get("/healthz").text) == (401, "Unauthorized\n")


def test_tokens_and_rights(dspa, api):
    dspa.tokens, dspa.forbidden = {"good"}, lambda request: request.method == "POST"
    url = f"{dspa.url}/apis/v2beta1/experiments"
    bad = requests.get(url, headers={"Authorization": "Bearer bad"}, timeout=20)
    assert (bad.status_code, bad.headers["Content-Type"]) == (401, "text/plain; charset=utf-8")
    good = {"Authorization": "Bearer good"}
    assert requests.get(url, headers=good, timeout=20).status_code == 200
    forbidden = requests.post(url, json={"display_name": "x"}, headers=good, timeout=20)
    assert forbidden.status_code == 403
    assert forbidden.text.startswith("Forbidden (user=")
    dspa.tokens = {"better"}
    assert requests.get(url, headers=good, timeout=20).status_code == 401


def test_what_is_empty_is_left_out(api):
    assert api.get("/runs").json() == {}
    run = api.begin()
    assert {"description", "error", "run_details"}.isdisjoint(run)
    assert "description" not in api.post("/experiments", {"display_name": "bare"}).json()


def test_64_bit_integers_are_strings(dspa, api):
    dspa.profile = "2.5"
    run_id = api.begin()["run_id"]
    api.states(run_id, 2)
    assert api.get(f"/runs/{run_id}").json()["run_details"]["pipeline_context_id"] == "7"


def test_unknown_fields_are_refused(api):
    assert 'unknown field "surprise"' in refused(api.post("/runs", api.run_body(surprise=1)), 400, 3)
    config = {"parameters": {}, "root": "x"}
    assert 'unknown field "root"' in refused(api.post("/runs", api.run_body(runtime_config=config)), 400, 3)
    refused(api.post("/experiments", {"name": "v1"}), 400, 3)
    refused(api.post("/runs", api.run_body(display_name=5)), 400, 3)
    assert api.post("/runs", {**api.run_body(), "displayName": "either spelling"}).status_code == 200


def test_an_older_server_refuses_what_came_later(dspa, api, ir):
    dspa.profile = "2.5"
    answer = api.post("/runs", api.run_body(plugins_input={})).json()
    assert answer["error"] == answer["message"]
    assert "plugins_input" in answer["message"]
    spec = nested(ir)
    spec["platform_spec"]["platforms"]["kubernetes"]["pipelineConfig"] = {"activeDeadlineSeconds": 60}
    assert api.post("/runs", api.run_body(pipeline_spec=spec)).status_code == 500
    dspa.profile = "2.16"
    assert api.post("/runs", api.run_body(pipeline_spec=spec)).status_code == 200


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({}, "parameter text is not optional"),
        ({"text": "x", "extra": 1}, "not required by pipeline: extra"),
        ({"text": 1}, "text requires type string"),
        ({"text": None}, "text requires type string"),
        ({"text": "x", "number": "7"}, "number requires type double or integer"),
        ({"text": "x", "number": True}, "number requires type double or integer"),
        ({"text": "x", "flag": 1}, "flag requires type bool"),
        ({"text": "x", "items": {}}, "items requires type list"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(dspa, api, parameters, complaint):
    response = api.post("/runs", api.run_body(runtime_config={"parameters": parameters}))
    assert complaint in refused(response, 400, 3)
    assert dspa.runs == {}


def test_numbers_are_doubles(api):
    given = {"text": "x", "number": 3.0, "share": 2**53 + 1}
    run = api.begin(runtime_config={"parameters": given})
    assert json.dumps(run["runtime_config"]["parameters"]["number"]) == "3"
    assert run["runtime_config"]["parameters"]["share"] == 2**53


@pytest.mark.parametrize(
    "change",
    [
        {"display_name": ""},
        {"pipeline_spec": None},
        {"pipeline_spec": {"not": "a pipeline"}},
        {"pipeline_spec": {"pipelineInfo": {"name": "x"}, "surprise": 1}},
        {"pipeline_spec": {"pipelineInfo": {"name": "x"}, "schemaVersion": "2.0.0", "root": {}}},
    ],
)
def test_no_name_or_no_pipeline_is_an_internal_error(dspa, api, change):
    refused(api.post("/runs", api.run_body(**change)), 500, 13)
    assert dspa.runs == {}


def test_what_is_not_there(api):
    refused(api.get("/runs/none"), 404, 5)
    refused(api.get("/experiments/none"), 404, 5)
    refused(api.post("/runs/none:terminate"), 404, 5)
    refused(api.post("/runs", api.run_body(experiment_id="none")), 404, 5)
    refused(api.get("/nothing"), 404, 5)
    refused(api.post("/healthz"), 501, 12)


def test_an_experiment_s_name_is_taken_once(api):
    assert api.post("/experiments", {"display_name": "ours"}).status_code == 200
    message = refused(api.post("/experiments", {"display_name": "ours"}), 409, 6)
    assert "already exists" in message


def test_a_run_s_name_is_not_unique(dspa, api):
    first, second = api.begin("same"), api.begin("same")
    assert first["run_id"] != second["run_id"]
    assert len(dspa.runs_named("same")) == len(dspa.live_runs()) == 2


def test_a_run_id_is_honoured_and_no_guard_against_doubles(dspa, api):
    assert api.begin("first", run_id="chosen")["run_id"] == "chosen"
    refused(api.post("/runs", api.run_body("second", run_id="chosen")), 500, 13)
    assert len(dspa.live_runs()) == 2
    assert [run["display_name"] for run in api.get("/runs").json()["runs"]] == ["first"]


def test_uploads_have_errors_of_their_own(dspa, ir):
    url = f"{dspa.url}/apis/v2beta1/pipelines/upload?name=x"
    for files in ({"other": ir.read_bytes()}, {"uploadfile": b"no: pipeline"}, {"uploadfile": b"{"}):
        response = requests.post(url, files=files, timeout=20)
        assert (response.status_code, set(response.json())) == (400, {"error_message", "error_details"})
    assert requests.post(url, files={"uploadfile": ir.read_bytes()}, timeout=20).status_code == 200
    assert requests.post(url, files={"uploadfile": ir.read_bytes()}, timeout=20).status_code == 409


def test_the_server_s_clock_can_be_wrong(dspa, api):
    dspa.clock_skew = 86400
    response = api.get("/healthz")
    ahead = (parsedate_to_datetime(response.headers["Date"]) - datetime.now(UTC)).total_seconds()
    assert 80000 < ahead < 90000
    assert datetime.fromisoformat(api.begin()["created_at"]) > datetime.now(UTC)


def test_requests_are_remembered_with_their_kinds(dspa, api):
    run_id = api.begin()["run_id"]
    api.get(f"/runs/{run_id}", view="FULL")
    api.get("/runs", page_size=1)
    api.post(f"/runs/{run_id}:archive")
    api.get("/elsewhere")
    assert [item.kind for item in dspa.requests] == ["create_run", "get_run", "list_runs", "archive", "other"]
    assert [item.number for item in dspa.requests] == [1, 2, 3, 4, 5]
    assert dspa.requests[1].query == {"view": "FULL"}
    assert json.loads(dspa.requests[0].body)["display_name"] == "a run"


def test_a_mistake_in_a_callback_reaches_the_test(ir):
    with pytest.raises(ZeroDivisionError), serving(Dspa(fault=lambda request: 1 / 0)) as dspa:
        assert Api(dspa).get("/healthz").status_code == 500

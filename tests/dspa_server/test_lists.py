"""Lists have the API's manners: filters unescaped twice, opaque tokens, capped pages, new runs missing."""

import json
from urllib.parse import quote

import pytest

from dspa_server.samples import refused


def names(api, name, key="display_name", operation="EQUALS", **query):
    predicate = {"operation": operation, "key": key, "string_value": name}
    response = api.get("/runs", filter=json.dumps({"predicates": [predicate]}), **query)
    return [run["display_name"] for run in response.json().get("runs", [])]


@pytest.mark.parametrize(("name", "taken_for"), [("a+b", "a b"), ("50%25", "50%"), ("%41", "A")])
def test_a_filter_is_unescaped_twice(api, name, taken_for):
    api.begin(name)
    api.begin(taken_for)
    assert names(api, name) == [taken_for]
    assert names(api, quote(name)) == [name]


def test_filters_that_are_refused(api):
    api.begin("50%")
    predicate = {"operation": "EQUALS", "key": "display_name", "string_value": "50%"}
    for predicates in (
        [predicate],
        [{**predicate, "string_value": "x", "operation": "GREATER_THAN"}],
        [{**predicate, "string_value": "x", "key": "pipeline_color"}],
        [{**predicate, "string_value": "x", "surprise": 1}],
        [{**predicate, "string_value": 5}],
    ):
        refused(api.get("/runs", filter=json.dumps({"predicates": predicates})), 400, 3)
    refused(api.get("/runs", filter="not json"), 400, 3)


def test_filters_by_either_name_and_number(api):
    api.begin("one")
    api.begin("two")
    assert names(api, "one", key="name", operation=1) == ["one"]
    assert names(api, "one", operation="NOT_EQUALS") == ["two"]
    assert names(api, "w", operation="IS_SUBSTRING") == ["two"]


def test_pages(dspa, api):
    for number in range(5):
        api.begin(f"run {number}")
    first = api.get("/runs", page_size=2, sort_by="display_name desc").json()
    assert [run["display_name"] for run in first["runs"]] == ["run 4", "run 3"]
    assert first["total_size"] == 5
    token = first["next_page_token"]
    second = api.get("/runs", page_size=2, page_token=token).json()
    assert [run["display_name"] for run in second["runs"]] == ["run 2", "run 1"]
    last = api.get(
        "/runs", page_size=2, page_token=second["next_page_token"], sort_by="display_name desc"
    ).json()
    assert [run["display_name"] for run in last["runs"]] == ["run 0"]
    assert "next_page_token" not in last
    assert "does not match" in refused(api.get("/runs", page_token=token, sort_by="created_at"), 400, 3)
    for made_up in ("2", "e30=", "bm90IGpzb24="):
        refused(api.get("/runs", page_token=made_up), 400, 3)


def test_sizes_of_pages(dspa, api):
    known = dspa.runs[api.begin()["run_id"]]
    for number in range(220):
        dspa.runs[f"{number}"] = type(known)(**{**vars(known), "run_id": f"{number}"})
    assert len(api.get("/runs").json()["runs"]) == 20
    assert len(api.get("/runs", page_size=1000).json()["runs"]) == 200
    for size in ("-1", "many"):
        refused(api.get("/runs", page_size=size), 400, 3)
    for order in ("colour", "name upwards", "name desc now"):
        refused(api.get("/runs", sort_by=order), 400, 3)


def test_a_lagging_list(dspa, api):
    dspa.list_lag = 2
    run_id = api.begin()["run_id"]
    assert api.get("/runs").json() == api.get("/runs").json() == {}
    assert api.get(f"/runs/{run_id}").json()["state"] == "PENDING"
    assert api.get("/runs").json()["total_size"] == 1

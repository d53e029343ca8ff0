"""The behaviour of the API that we rely on: of the double, and with JUKEBOX_TEST_DSPA of a real server.

JUKEBOX_TEST_DSPA is a DSPA's address; JUKEBOX_TOKEN or JUKEBOX_TOKEN_FILE, and JUKEBOX_CA, are the command's.
The token's account needs the verb delete beside get and create. On a real server the runs fail in their first
step, because there is no such image, and all that the tests create is deleted.
"""

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dspa_server import PROFILES, Dspa, Script, serving
from dspa_server.samples import Api, nested, refused
from ml.dspa.connection import Connection, connect

REAL = os.environ.get("JUKEBOX_TEST_DSPA", "")
PATIENCE = 60
"""Seconds for a real server to bring a run into another state."""


class Server(Api):
    """The API of one server, and an experiment of this test."""

    def __init__(self, connection: Connection, ir: Path):
        super().__init__(connection, ir)
        self.name = f"conformance {uuid.uuid4().hex[:12]}"
        made = self.post("/experiments", {"display_name": self.name})
        assert made.status_code == 200, made.text
        self.experiment: str = made.json()["experiment_id"]
        self.begun: list[str] = []

    def body(self, **fields: Any) -> dict[str, Any]:
        """Return the body that starts a run of the experiment."""
        return self.run_body(**{"experiment_id": self.experiment, **fields})

    def start(self, name: str = "a run", **fields: Any) -> str:
        """Start a run, and return its id."""
        self.begun.append(self.begin(name, experiment_id=self.experiment, **fields)["run_id"])
        return self.begun[-1]

    def run(self, run_id: str) -> dict[str, Any]:
        answer = self.get(f"/runs/{run_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def until(self, run_id: str, holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Read a run until a condition holds."""
        end = time.monotonic() + PATIENCE
        while not holds(run := self.run(run_id)):
            assert time.monotonic() < end, run
            if REAL:
                time.sleep(1)
        return run

    def named(self, name: str, operation: str = "EQUALS", **query: Any) -> dict[str, Any]:
        """List runs of the experiment by name."""
        predicate = {"operation": operation, "key": "display_name", "stringValue": name}
        chosen = json.dumps({"predicates": [predicate]})
        return self.get("/runs", experiment_id=self.experiment, filter=chosen, **query).json()

    def tidy(self) -> None:
        """Delete what was created."""
        for run_id in self.begun:
            self.post(f"/runs/{run_id}:terminate")
            self.call("DELETE", f"/runs/{run_id}")
        self.call("DELETE", f"/experiments/{self.experiment}")


@pytest.fixture(params=[*PROFILES, pytest.param("real", marks=pytest.mark.slow)])
def server(request, ir) -> Iterator[Server]:
    if request.param == "real":
        if not REAL:
            pytest.skip("set JUKEBOX_TEST_DSPA to the address of a DSPA, and JUKEBOX_TOKEN and JUKEBOX_CA")
        ca, file = (os.environ.get(f"JUKEBOX_{name}") for name in ("CA", "TOKEN_FILE"))
        real = Server(connect(REAL, "dspa", None, ca and Path(ca), file and Path(file)), ir)
        try:
            yield real
        finally:
            real.tidy()
        return
    with serving(Dspa(profile=request.param, script=Script(never_ends=True))) as double:
        yield Server(Connection(host=double.url), ir)


def test_health_tells_a_version(server):
    health = server.get("/healthz").json()
    assert health["multi_user"] is False
    assert health.get("tag_name") or health.get("commit_sha")


def test_names_of_experiments(server):
    assert "already exist" in refused(server.post("/experiments", {"display_name": server.name}), 409, 6)
    assert refused(server.post("/experiments", {"description": "without a name"}), 500, 13)
    assert refused(server.post("/experiments", {"display_name": "x" * 129}), 500, 13)


def test_names_are_compared_without_case(server):
    refused(server.post("/experiments", {"display_name": server.name.upper()}), 409, 6)
    predicate = {"operation": "EQUALS", "key": "display_name", "stringValue": server.name.upper()}
    listed = server.get("/experiments", filter=json.dumps({"predicates": [predicate]})).json()
    assert [one["experiment_id"] for one in listed["experiments"]] == [server.experiment]


def test_what_is_unknown_or_wrong_is_refused(server):
    refused(server.post("/runs", server.body(surprise=1)), 400, 3)
    for parameters in ({}, {"text": "x", "more": 1}, {"text": 1}):
        refused(server.post("/runs", server.body(runtime_config={"parameters": parameters})), 400, 3)
    refused(server.get(f"/runs/{uuid.uuid4()}"), 404, 5)
    assert server.get("/runs", experiment_id=server.experiment).json() == {}


def test_a_run_tells_what_was_asked_for_and_has_no_end_yet(server):
    given = nested(server.ir)
    run = server.run(server.start(description="a description"))
    assert [run[name] for name in ("display_name", "description")] == ["a run", "a description"]
    assert run["experiment_id"] == server.experiment
    assert run["runtime_config"]["parameters"]["text"] == "hello"
    assert run["pipeline_spec"] == given
    assert run["finished_at"] == "1970-01-01T00:00:00Z"
    assert "error" not in run


def test_names_of_runs_are_not_unique_and_are_found_by_a_part(server):
    pair = {server.start("jukebox abc 0123-45") for _ in range(2)}
    server.start("jukebox abc 9999-45")
    for name, operation in (("jukebox abc 0123-45", "EQUALS"), ("0123", "IS_SUBSTRING")):
        assert {run["run_id"] for run in server.named(name, operation)["runs"]} == pair
    assert server.named("nobody's") == {}


def test_pages_belong_to_their_question(server):
    for _ in range(3):
        server.start()
    first = server.named("a run", page_size=2)
    assert (len(first["runs"]), first["total_size"]) == (2, 3)
    token = first["next_page_token"]
    rest = server.named("a run", page_size=2, page_token=token)
    assert (len(rest["runs"]), "next_page_token" in rest) == (1, False)
    ours = {"experiment_id": server.experiment}
    refused(server.get("/runs", **ours, page_token=token, sort_by="display_name desc"), 400, 3)
    newest = server.get("/runs", **ours, sort_by="created_at desc").json()["runs"]
    assert {run["run_id"] for run in newest} == set(server.begun)


def test_a_terminated_run_is_failed_stays_archived_and_can_be_retried(server):
    run_id = server.start()
    server.until(run_id, lambda run: run.get("state") == "RUNNING")
    assert server.post(f"/runs/{run_id}:terminate").json() == {}
    for _ in range(2):
        assert server.post(f"/runs/{run_id}:archive").status_code == 200
    ended = server.until(run_id, lambda run: run.get("state") == "FAILED")
    assert ended["storage_state"] == "ARCHIVED"
    assert ended["finished_at"] > "2000"
    assert server.named("a run")["runs"][0]["storage_state"] == "ARCHIVED"
    refused(server.post(f"/runs/{run_id}:terminate"), 400, 3)
    assert server.post(f"/runs/{run_id}:retry").status_code == 200
    server.until(run_id, lambda run: run.get("state") == "RUNNING")


def test_a_run_that_goes_on_can_be_deleted(server):
    run_id = server.start()
    assert server.call("DELETE", f"/runs/{run_id}").status_code == 200
    refused(server.get(f"/runs/{run_id}"), 404, 5)


def test_an_archived_experiment_takes_runs(server):
    assert server.post(f"/experiments/{server.experiment}:archive").status_code == 200
    assert server.get(f"/experiments/{server.experiment}").json()["storage_state"] == "ARCHIVED"
    assert server.run(server.start())["experiment_id"] == server.experiment

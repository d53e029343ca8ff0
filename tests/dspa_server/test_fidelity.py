"""The behaviour of the API that we rely on: of the double, and with JUKEBOX_TEST_DSPA of a real server.

JUKEBOX_TEST_DSPA is a DSPA's address; JUKEBOX_TOKEN or JUKEBOX_TOKEN_FILE, and JUKEBOX_CA, are the command's.
The token's account needs the verb delete beside get and create. On a real server the runs fail in their first
step, because there is no such image, and all that the tests create is deleted.
"""

import os
import time
import uuid
from pathlib import Path

import pytest

from dspa_server import PROFILES, Dspa, Script, serving
from dspa_server.samples import Api, named, refused
from ml.dspa.connection import Connection, connect

REAL = os.environ.get("JUKEBOX_TEST_DSPA", "")


class Server(Api):
    """The API of one server, and an experiment of this test."""

    def __init__(self, connection, ir):
        super().__init__(connection, ir)
        self.name, self.begun = f"conformance {uuid.uuid4().hex[:12]}", []
        made = self.post("/experiments", {"display_name": self.name})
        assert made.status_code == 200, made.text
        self.experiment = made.json()["experiment_id"]

    def body(self, name="a run", **fields):
        return super().body(name, **{"experiment_id": self.experiment, **fields})

    def begin(self, name="a run", **fields):
        self.begun.append(super().begin(name, **fields))
        return self.begun[-1]

    def until(self, run_id, state):
        """Read a run until it is in a state."""
        end = time.monotonic() + 60
        while (run := self.run(run_id)).get("state") != state:
            assert time.monotonic() < end, run
            time.sleep(1 if REAL else 0)
        return run

    def runs(self, **query):
        return self.get("/runs", experiment_id=self.experiment, **query).json()

    def tidy(self):
        """Delete what was created."""
        for run_id in self.begun:
            self.post(f"/runs/{run_id}:terminate")
            self.call("DELETE", f"/runs/{run_id}")
        self.call("DELETE", f"/experiments/{self.experiment}")


@pytest.fixture(params=[*PROFILES, pytest.param("real", marks=pytest.mark.slow)])
def server(request, ir):
    if request.param != "real":
        with serving(Dspa(profile=request.param, script=Script(never_ends=True))) as double:
            yield Server(Connection(host=double.url), ir)
        return
    if not REAL:
        pytest.skip("set JUKEBOX_TEST_DSPA to the address of a DSPA, and JUKEBOX_TOKEN and JUKEBOX_CA")
    ca, file = (os.environ.get(f"JUKEBOX_{name}") for name in ("CA", "TOKEN_FILE"))
    real = Server(connect(REAL, "dspa", None, ca and Path(ca), file and Path(file)), ir)
    try:
        yield real
    finally:
        real.tidy()


def test_health_tells_a_version(server):
    health = server.get("/healthz").json()
    assert health["multi_user"] is False
    assert health.get("tag_name") or health.get("commit_sha")


def test_names_of_experiments_are_unique_without_case(server):
    for name in (server.name, server.name.upper()):
        assert "already exist" in refused(server.post("/experiments", {"display_name": name}), 409, 6)
        (listed,) = server.get("/experiments", filter=named(name)).json()["experiments"]
        assert listed["experiment_id"] == server.experiment
    for body in ({"description": "without a name"}, {"display_name": "x" * 129}):
        refused(server.post("/experiments", body), 500, 13)


def test_what_is_unknown_or_wrong_is_refused(server):
    assert "surprise" in refused(server.post("/runs", server.body(surprise=1)), 400, 3)
    refused(server.post("/runs", server.body(display_name=5)), 400, 3)
    for parameters in ({}, {"text": "x", "more": 1}, {"text": 1}, {"text": "x", "number": True}):
        refused(server.post("/runs", server.body(runtime_config={"parameters": parameters})), 400, 3)
    for change in ({"display_name": ""}, {"pipeline_spec": {}}, {"pipeline_spec": {"not": "a pipeline"}}):
        refused(server.post("/runs", server.body(**change)), 500, 13)
    refused(server.get(f"/runs/{uuid.uuid4()}"), 404, 5)
    assert server.runs() == {}


def test_a_run_tells_what_was_asked_for_and_has_no_end_yet(server):
    given = {"text": "hello", "number": 3.0, "share": 2**53 + 1}
    run = server.run(server.begin(description="a description", runtime_config={"parameters": given}))
    told = ("display_name", "description", "experiment_id", "pipeline_spec", "finished_at")
    asked = ("a run", "a description", server.experiment, server.ir, "1970-01-01T00:00:00Z")
    assert tuple(run[name] for name in told) == asked
    assert run["runtime_config"]["parameters"] == {**given, "share": 2**53}
    assert "error" not in run


def test_names_of_runs_are_not_unique_and_are_found_by_a_part(server):
    pair = {server.begin("jukebox abc 0123-45") for _ in range(2)}
    server.begin("jukebox abc 9999-45")
    for name, operation in (("jukebox abc 0123-45", "EQUALS"), ("0123", "IS_SUBSTRING")):
        assert {run["run_id"] for run in server.runs(filter=named(name, operation))["runs"]} == pair
    assert server.runs(filter=named("nobody's")) == {}


def test_pages_belong_to_their_question(server):
    for _ in range(3):
        server.begin()
    first = server.runs(filter=named("a run"), page_size=2)
    assert (len(first["runs"]), first["total_size"]) == (2, 3)
    token = first["next_page_token"]
    rest = server.runs(filter=named("a run"), page_size=2, page_token=token)
    assert (len(rest["runs"]), "next_page_token" in rest) == (1, False)
    for query in ({"page_token": token, "sort_by": "display_name desc"}, {"page_token": "2"}):
        refused(server.get("/runs", experiment_id=server.experiment, **query), 400, 3)
    newest = server.runs(sort_by="created_at desc")["runs"]
    assert {run["run_id"] for run in newest} == set(server.begun)


def test_a_terminated_run_is_failed_stays_archived_and_can_be_retried(server):
    run_id = server.begin()
    server.until(run_id, "RUNNING")
    assert server.post(f"/runs/{run_id}:terminate").json() == {}
    for _ in range(2):
        assert server.post(f"/runs/{run_id}:archive").status_code == 200
    ended = server.until(run_id, "FAILED")
    assert (ended["storage_state"], ended["finished_at"] > "2000") == ("ARCHIVED", True)
    assert server.runs()["runs"][0]["storage_state"] == "ARCHIVED"
    refused(server.post(f"/runs/{run_id}:terminate"), 400, 3)
    assert server.post(f"/runs/{run_id}:retry").status_code == 200
    server.until(run_id, "RUNNING")

"""A run goes as its script says, and shows it as the API does."""

import itertools

from dspa_server import Script
from dspa_server.samples import refused
from dspa_server.specs import task_names


def test_states_follow_the_script(dspa, api):
    dspa.script = lambda run: Script(pending=2, running=1, final="SKIPPED")
    assert api.states(api.begin()["run_id"], 5) == ["PENDING", "PENDING", "RUNNING", "SKIPPED", "SKIPPED"]
    dspa.script = Script(states=("PAUSED", "EXPIRED", None, "CANCELED"))
    assert api.states(api.begin()["run_id"], 5) == ["PAUSED", "EXPIRED", None, "CANCELED", "CANCELED"]
    dspa.script = Script(never_ends=True)
    assert set(api.states(api.begin()["run_id"], 20)) == {"PENDING", "RUNNING"}


def test_a_run_that_vanishes(dspa, api):
    dspa.script = Script(vanish_after=2)
    run_id = api.begin()["run_id"]
    api.states(run_id, 2)
    refused(api.get(f"/runs/{run_id}"), 404, 5)
    assert api.get("/runs").json() == {}


def test_the_end_is_announced_once_before_it_shows(dspa, api):
    seen = []
    dspa.on_finish = lambda run: seen.append((run.run_id, run.state))
    run_id = api.begin()["run_id"]
    api.states(run_id, 3)
    assert seen == []
    api.states(run_id, 3)
    assert seen == [(run_id, "RUNNING")]


def test_history_grows_and_the_end_has_no_date_before_it_came(api):
    run_id = api.begin()["run_id"]
    answers = [api.get(f"/runs/{run_id}").json() for _ in range(5)]
    assert [len(answer["state_history"]) for answer in answers] == [1, 2, 2, 3, 3]
    assert [answer["finished_at"] == "1970-01-01T00:00:00Z" for answer in answers] == [True] * 3 + [False] * 2


def test_tasks_lag_behind_the_end(dspa, api):
    dspa.script = Script(final="FAILED", failed_task="fail-if-asked")
    run_id = api.begin()["run_id"]
    answers = [api.get(f"/runs/{run_id}").json() for _ in range(5)]
    found = [
        {
            task["display_name"]: task["state"]
            for task in answer.get("run_details", {}).get("task_details", [])
        }
        for answer in answers
    ]
    assert found[0] == {}
    assert found[1]["write"] == "RUNNING"
    assert answers[3]["state"] == "FAILED"
    assert found[3]["fail-if-asked"] == "RUNNING"
    assert (found[4]["write"], found[4]["fail-if-asked"]) == ("SUCCEEDED", "FAILED")
    assert all("error" not in answer for answer in answers)
    assert not any({"inputs", "outputs"} & set(task) for task in answers[4]["run_details"]["task_details"])


def test_tasks_have_one_order_in_whatever_order_a_specification_has_its_keys():
    needs = {"fetch": [], "champion": [], "train": ["fetch", "champion"], "audit": ["fetch"]}
    tasks = {name: {"dependentTasks": before} for name, before in needs.items()}
    found = {
        tuple(task_names({"root": {"dag": {"tasks": dict(order)}}}))
        for order in itertools.permutations(tasks.items())
    }
    assert found == {("champion", "fetch", "audit", "train")}


def test_newer_servers_show_tasks_when_asked(dspa, api):
    dspa.profile = "next"
    run_id = api.begin()["run_id"]
    api.states(run_id, 3)
    bare = api.get(f"/runs/{run_id}").json()
    assert {"run_details", "tasks"}.isdisjoint(bare)
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

"""What a run survives in a real cluster, and what a cancelled one leaves behind.

Each run gets tables of its own, so that neither an earlier decision nor KFP's cache answers it.
"""

import time

import pytest
from cluster.site import Site, until

DAYS = iter(range(8, 99))
ENDED = {"SUCCEEDED", "FAILED", "CANCELED"}


def begin(site: Site, name: str) -> str:
    """Start a run of a new commit, wait until the steps of its DSPA run have begun, and return the commit."""
    commit = site.commit("README.md", "# jukebox\n", f"# jukebox, {name}\n")
    site.start(commit, name, data=f"sample:songs=600,days={next(DAYS)},seed=7")
    until(lambda: [run for run in site.known(commit=commit) if run["state"] == "RUNNING"], 1200)
    return commit


def promoted_once(site: Site, name: str, commit: str) -> None:
    """Check that a run was promoted, by one run of the DSPA."""
    reason, tasks = site.wait(name)
    assert reason in ("Succeeded", "Completed") and tasks.get("promote") == "Succeeded", site.logs(name)
    assert [run["state"] for run in site.known(commit=commit)] == ["SUCCEEDED"]


@pytest.fixture
def real(site) -> Site:
    if not site.backend.dspa:
        pytest.skip("the double has no such parts; set JUKEBOX_TEST_DSPA=namespace/name to a DSPA")
    return site


def test_a_drained_submitter_loses_no_run(site):
    commit = begin(site, "drained")
    pods = "tekton.dev/pipelineRun=drained,tekton.dev/pipelineTask=submit-run"
    site.kubectl("delete", "pod", "--selector", pods)
    promoted_once(site, "drained", commit)


def test_a_cancelled_run_ends_that_of_the_server(site):
    commit = begin(site, "cancelled")
    site.cancel("cancelled")
    reason, tasks = site.wait("cancelled", 300)
    assert (reason.startswith("Cancelled"), "promote" in tasks) == (True, False)
    (run,) = until(lambda: [run for run in site.known(commit=commit) if run["state"] in ENDED])
    assert run["state"] != "SUCCEEDED"


def test_api_server_and_workflow_controller_may_restart(real):
    commit = begin(real, "restarted")
    for part in ("", "-workflow-controller"):
        app = f"app=ds-pipeline{part}-{real.backend.dspa}"
        assert real.runs_namespace.get("pods", selector=app)["items"], f"no pod has {app}"
        real.runs_namespace.kubectl("delete", "pod", "--selector", app, "--wait=false")
    promoted_once(real, "restarted", commit)


def test_steps_wait_for_an_object_store_that_is_away(real):
    commit = begin(real, "without-store")
    with real.store_away():
        time.sleep(45)
    promoted_once(real, "without-store", commit)

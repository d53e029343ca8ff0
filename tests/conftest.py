"""What all tests share: one real run of the whole pipeline, and how many examples hypothesis takes."""

import gc
import json
import os
import threading
from pathlib import Path
from types import ModuleType

import pytest
from command import SAMPLE, FinishedRun, jukebox, unhurried
from hypothesis import settings
from processes import wait_for

# How long an example takes says nothing on a machine that does other things too.
settings.register_profile("ours", deadline=None, max_examples=int(os.environ.get("JUKEBOX_EXAMPLES", "25")))
settings.load_profile("ours")

FROZEN: dict[str, ModuleType] = {}
"""The module of tests that runs."""

FIRST_WORKER = ("master", "gw0")
PATIENCE = 1200
"""Seconds for the finished run: images may be built beside it."""


def needs_finished_run(item: pytest.Item) -> bool:
    return "finished_run" in getattr(item, "fixturenames", ())


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that need the finished run last, which is made meanwhile, and the longest first."""
    items.sort(key=lambda item: (needs_finished_run(item), item.get_closest_marker("longest") is None))


# Full collections walk all that is alive, and modules are for ever: without these two, tests that make many
# objects, as YAML does, take ten times as long.
gc.set_threshold(100_000, 50, 1000)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Keep the garbage collector off what lives as long as the run, which grows with each module of tests."""
    if FROZEN.get("module") is not item.module:
        FROZEN["module"] = item.module
        gc.freeze()


def pytest_sessionfinish() -> None:
    """Let DuckDB's objects be collected: it prints a list of those that are left in the end."""
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def _no_cluster(request):
    """Hide this machine's kubeconfig from all tests but those that want a cluster."""
    with pytest.MonkeyPatch.context() as patch:
        if not any(item.nodeid.startswith("tests/cluster") for item in request.session.items):
            patch.setenv("KUBECONFIG", os.devnull)
        yield


@pytest.fixture(scope="session")
def finished_run_home(tmp_path_factory, worker_id) -> Path:
    """The folder of the finished run, the same for all workers."""
    base = tmp_path_factory.getbasetemp()
    return (base if worker_id == "master" else base.parent) / "finished-run"


@pytest.fixture(scope="session", autouse=True)
def _finished_run_begins(request, finished_run_home, worker_id):
    """Start the whole pipeline on a small sample in the background, if a selected test needs it."""
    if worker_id not in FIRST_WORKER or not any(map(needs_finished_run, request.session.items)):
        yield
        return

    def run() -> None:
        # The store that the other verbs take by default.
        where = ["--data", SAMPLE, "--store", ".jukebox/store"]
        env = unhurried(finished_run_home)
        where += ["--no-promote", "--json"]
        done = jukebox("run", *where, cwd=finished_run_home, env=env, timeout=PATIENCE)
        result = {"code": done.returncode, "stdout": done.stdout, "stderr": done.stderr}
        (finished_run_home / "result.new").write_text(json.dumps(result))
        (finished_run_home / "result.new").rename(finished_run_home / "result.json")

    finished_run_home.mkdir()
    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join()


@pytest.fixture(scope="session")
def finished_run(finished_run_home) -> FinishedRun:
    """The whole pipeline on a small sample, through the command, once for all workers."""
    result = finished_run_home / "result.json"
    wait_for(result.exists, PATIENCE)
    done = json.loads(result.read_text())
    assert done["code"] == 0, done["stdout"] + done["stderr"]
    return FinishedRun(finished_run_home, json.loads(done["stdout"]))

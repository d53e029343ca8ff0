"""One real run of the whole pipeline, made once, for the tests that need what a run leaves behind."""

import fcntl
import json
import os

import pytest
from command import SAMPLE, FinishedRun, jukebox
from hypothesis import settings

# How long an example takes says nothing on a machine that does other things too. `make mutants` takes few.
settings.register_profile("ours", deadline=None, max_examples=int(os.environ.get("JUKEBOX_EXAMPLES", "100")))
settings.load_profile("ours")


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory, worker_id) -> FinishedRun:
    """The whole pipeline on a small sample, through the command; half a minute, once for all workers."""
    base = tmp_path_factory.getbasetemp()
    home = (base if worker_id == "master" else base.parent) / "finished-run"
    with open(f"{home}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = home / "result.json"
        if not result.exists():
            home.mkdir()
            arguments = ["--rankings", SAMPLE, "--songs", SAMPLE, "--no-promote", "--json"]
            done = jukebox("run", *arguments, cwd=home)
            assert done.returncode == 0, done.stdout + done.stderr
            result.write_text(done.stdout)
    return FinishedRun(home, json.loads(result.read_text()))

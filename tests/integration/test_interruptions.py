"""Runs that are interrupted, killed, or not alone: no process, file or half a candidate stays behind."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from command import unhurried
from processes import (
    assert_nothing_half_written,
    assert_one_line,
    fill,
    finish,
    kill_all,
    processes_of,
    run_at,
    small_disk,
    start_at,
    step_began,
    wait_for,
)
from tiers import SLOW

from ml.gate.verdict import Verdict
from ml.problems.songs.sample_spec import SampleSpec
from ml.release.store import ModelStore

SMALL = SampleSpec(songs=600, days=4, seed=7).uri
RUN = ("run", "--data", SMALL)
LONG = (*RUN, "--param", "epochs=100000", "--param", "patience=100000")
QUICK = (*RUN, "--param", "epochs=25", "--param", "learning_rate=0.02", "--policy", "unhurried.yaml")
"""As little training as passes the gate."""


def _interrupt(home: Path, *signals: int) -> tuple[subprocess.CompletedProcess, float, dict[int, str]]:
    """Send signals to the command alone in the middle of training; return its end, how long, what is left."""
    left: dict[int, str] = {}
    process = start_at(home, *LONG)
    try:
        wait_for(lambda: step_began(home, "train"))
        time.sleep(1)
        start = time.monotonic()
        for number in signals:
            process.send_signal(number)
            time.sleep(0.2)
        return finish(process, 60), time.monotonic() - start, left
    finally:
        left.update(kill_all(home))


def _kill_step(home: Path) -> tuple[subprocess.CompletedProcess, dict[int, str]]:
    """Kill the process of the training step, as the kernel does when memory runs out."""
    left: dict[int, str] = {}
    process = start_at(home, *LONG)
    try:
        wait_for(lambda: step_began(home, "train"))
        (step,) = [
            number
            for number, command in processes_of(home).items()
            if "--function_to_execute train" in command and not command.startswith("sh ")
        ]
        os.kill(step, signal.SIGKILL)
        return finish(process, 60), left
    finally:
        left.update(kill_all(home))


def _full_store(home: Path) -> tuple[subprocess.CompletedProcess, list[str], list[str], list[str]]:
    """Run into a store whose disk has 4 kB left; return the end, and what is in the store."""
    with small_disk(home / "disk") as disk:
        (disk / "store").mkdir()
        fill(disk, leaving=4096)
        done = run_at(home, *QUICK, "--store", disk / "store")
        store = ModelStore(str(disk / "store"))
        names = [path.name for path in disk.glob("store/**/*") if path.is_file()]
        return done, store.candidates(), [str(entry.number) for entry in store.log()], names


@pytest.fixture(scope="module")
def runs(request, tmp_path_factory) -> Iterator[dict]:
    """Start the runs of all selected tests, three at a time; they share the two cores."""
    root = tmp_path_factory.mktemp("interruptions")
    wanted = {item.originalname for item in request.session.items if item.path == request.path}
    # One folder for two runs.
    homes = {"first": root / "duel", "second": root / "duel"}
    with ThreadPoolExecutor(3) as pool:
        started = {}

        def start(name, needed_by, work, *arguments):
            home = homes.get(name, root / name)
            if wanted & set(needed_by):
                home.mkdir(exist_ok=True)
                unhurried(home)
                started[name] = home, pool.submit(work, home, *arguments)

        duel = ["test_of_two_runs_at_once_one_is_promoted"]
        start("first", duel, run_at, *QUICK, "--param", "seed=1")
        start("second", duel, run_at, *QUICK, "--param", "seed=2")
        start("full", ["test_a_full_disk_under_the_store"], _full_store)
        interrupted = ["test_an_interrupted_run_ends_at_once_and_leaves_nothing"]
        start("SIGINT", interrupted, _interrupt, signal.SIGINT)
        start("SIGINT twice", interrupted, _interrupt, signal.SIGINT, signal.SIGINT)
        start("SIGTERM", interrupted, _interrupt, signal.SIGTERM)
        start("SIGHUP", interrupted, _interrupt, signal.SIGHUP)
        start("killed", ["test_a_step_that_is_killed_is_named"], _kill_step)
        yield started


@SLOW
def test_of_two_runs_at_once_one_is_promoted(runs):
    home, first = runs["first"]
    ended = [first.result(), runs["second"][1].result()]
    assert sorted(done.returncode for done in ended) == [0, 40], [done.stderr for done in ended]
    winner, loser = sorted(ended, key=lambda done: done.returncode)
    assert winner.stderr == ""
    line = assert_one_line(loser, 40)
    assert "run the pipeline again" in line
    store = ModelStore(str(home / ".jukebox" / "sample-store"))
    (promotion,) = store.log()
    assert promotion.number == 1
    assert promotion.candidate in winner.stdout
    candidates = store.candidates()
    assert len(candidates) == 2
    for candidate in candidates:
        (reports,) = store.read_reports(candidate).values()
        assert Verdict.load(json.loads(reports["evidence.json"])["verdict"]).passed
    assert list((home / "tmp").iterdir()) == []
    assert processes_of(home) == {}


@SLOW
def test_a_full_disk_under_the_store(runs):
    home, run = runs["full"]
    done, candidates, promotions, files = run.result()
    line = assert_one_line(done, 30)
    assert "save failed" in line
    assert "No space left on device" in line
    assert (candidates, promotions) == ([], [])
    # Files without a manifest are no candidate, but each of them is whole: none is a temporary one.
    assert [name for name in files if not name.endswith((".json", ".keras", ".onnx"))] == []
    assert list((home / ".jukebox").glob("runs/*/tmp")) == []


@SLOW
@pytest.mark.parametrize("how", ["SIGINT", "SIGINT twice", "SIGTERM", "SIGHUP"])
def test_an_interrupted_run_ends_at_once_and_leaves_nothing(runs, how):
    home, run = runs[how]
    done, seconds, left = run.result()
    assert left == {}
    assert "interrupted; nothing was promoted" in assert_one_line(done, 20)
    assert seconds < 10
    assert_nothing_half_written(home)


@SLOW
def test_a_step_that_is_killed_is_named(runs):
    home, run = runs["killed"]
    done, left = run.result()
    assert left == {}
    assert "train ended without an error message" in assert_one_line(done, 20)
    assert_nothing_half_written(home)


def test_an_interrupt_before_the_first_step(tmp_path):
    """Ctrl-C while TensorFlow's and KFP's many modules load, or a table is digested."""
    process = start_at(tmp_path, *LONG)
    wait_for(lambda: (tmp_path / ".jukebox" / "sample-store").exists())
    process.send_signal(signal.SIGINT)
    done = finish(process, 30)
    assert kill_all(tmp_path) == {}
    assert_one_line(done, 20)
    assert_nothing_half_written(tmp_path)


def test_what_nohup_silenced_stays_silent(tmp_path):
    """A run that its user has taken from the terminal goes on when the terminal closes."""
    process = start_at(tmp_path, *LONG, prefix=["nohup"])
    wait_for(lambda: (tmp_path / ".jukebox" / "sample-store").exists())
    process.send_signal(signal.SIGHUP)
    time.sleep(1)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert finish(process, 30).returncode == 20
    assert kill_all(tmp_path) == {}

"""A run on this machine that is being started when somebody wants it to stop."""

import signal
import subprocess
import sys

import pytest

from ml.errors import Interrupted
from ml.pipeline import local
from ml.pipeline.local import LocalRun, execute
from ml.pipeline.run_folder import is_running
from ml.signals import WISHES, uninterrupted

LONG = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def heard(monkeypatch):
    """Handlers as the command has them: a wish to stop is an `Interrupted`; what came, in order."""
    came = []

    def interrupt(number, _):
        came.append(number)
        raise Interrupted

    before = {wish: signal.signal(wish, interrupt) for wish in WISHES}
    yield came
    for wish, handler in before.items():
        signal.signal(wish, handler)


@pytest.mark.parametrize("wish", WISHES, ids=lambda wish: wish.name)
def test_a_wish_that_comes_while_the_process_is_being_started_leaves_none(tmp_path, monkeypatch, heard, wish):
    started, running = [], []
    start = subprocess.Popen

    def starting(_, **settings):
        started.append(start(LONG, **settings))
        running.append(is_running(tmp_path))
        signal.raise_signal(wish)
        return started[0]

    monkeypatch.setattr(local.subprocess, "Popen", starting)
    run = LocalRun(folder=tmp_path, ir=tmp_path / "pipeline.yaml", policy_text="", parameters={})
    try:
        with pytest.raises(Interrupted):
            execute(run, lambda _: None)
        assert started[0].poll() == -signal.SIGKILL
        assert (running, is_running(tmp_path)) == ([True], False)
    finally:
        started[0].kill()
        started[0].wait()


def test_of_several_wishes_the_first_comes_true_when_the_block_ends(heard):
    with pytest.raises(Interrupted), uninterrupted():
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        assert heard == []
    assert heard == [signal.SIGTERM]


def test_an_error_within_is_the_error_and_the_handlers_are_there_again(heard):
    before = [signal.getsignal(wish) for wish in WISHES]
    with pytest.raises(OSError, match="no such program"), uninterrupted():
        raise OSError("no such program")
    assert [signal.getsignal(wish) for wish in WISHES] == before


def test_what_is_ignored_stays_ignored(heard):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with uninterrupted():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert heard == []

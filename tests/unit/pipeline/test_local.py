"""A run on this machine: under which Python, and what is left when somebody wants it to stop."""

import os
import signal
import subprocess
import sys
import venv

import pytest
from kfp import compiler, dsl

from ml.core.errors import ReaderGone
from ml.core.files import write_json
from ml.core.signals import STOP_SIGNALS, uninterrupted
from ml.pipeline import local
from ml.pipeline.local import execute
from ml.pipeline.local_child import name_interpreter
from ml.pipeline.local_run import LocalRun

STARTING = """
import signal, subprocess, sys
from pathlib import Path
from ml.core.errors import Interrupted
from ml.pipeline import local
from ml.pipeline.run_folder import is_running

folder, number = Path(sys.argv[1]), int(sys.argv[2])
start, started, running = subprocess.Popen, [], []

def interrupt(number, _):
    raise Interrupted

def starting(_, **settings):
    started.append(start([sys.executable, "-c", "import time; time.sleep(60)"], **settings))
    running.append(is_running(folder))
    signal.raise_signal(number)
    return started[0]

signal.signal(number, interrupt)
local.subprocess.Popen = starting
run = local.LocalRun(folder=folder, ir=folder / "pipeline.yaml", policy_text="", parameters={})
try:
    local.execute(run, lambda _: None)
except Interrupted:
    print(started[0].poll() == -signal.SIGKILL, running, is_running(folder))
"""
"""A process of its own: what other tests have loaded into this one must not meet real signals."""


@pytest.mark.parametrize("number", STOP_SIGNALS, ids=lambda number: number.name)
def test_a_signal_while_the_process_is_being_started_leaves_none(tmp_path, number):
    command = [sys.executable, "-c", STARTING, str(tmp_path), str(int(number))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("True [True] False\n", "")


@pytest.fixture
def raised(monkeypatch):
    """Handlers of which one ignores its signal; the signals that are raised instead of heard."""
    raised, before = [], {number: signal.getsignal(number) for number in STOP_SIGNALS}
    monkeypatch.setattr(signal, "raise_signal", raised.append)
    for number in STOP_SIGNALS:
        ignored = number == signal.SIGHUP
        signal.signal(number, signal.SIG_IGN if ignored else signal.default_int_handler)
    yield raised
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_first_of_several_signals_is_raised_when_the_block_ends_and_what_is_ignored_stays_so(raised):
    with uninterrupted():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.getsignal(number)(number, None)
        assert (raised, signal.getsignal(signal.SIGHUP)) == ([], signal.SIG_IGN)
    assert (raised, signal.getsignal(signal.SIGTERM)) == ([signal.SIGTERM], signal.default_int_handler)


def test_an_error_within_is_the_error_and_the_handlers_are_there_again(raised):
    with pytest.raises(OSError, match="no such program"), uninterrupted():
        raise OSError("no such program")
    assert (raised, signal.getsignal(signal.SIGTERM)) == ([], signal.default_int_handler)


@dsl.component(base_image="python", install_kfp_package=False)
def _note(path: str):
    import sys
    from pathlib import Path

    Path(path).write_text(sys.executable)


@dsl.pipeline(name="one-step")
def _one_step(path: str):
    _note(path=path)


def test_a_path_with_a_blank_and_an_accent_may_lead_to_the_python_and_to_the_run(tmp_path, monkeypatch):
    """kfp.local alone puts the path of the Python unquoted into a shell script, and into paths of data."""
    home = tmp_path / "it's a b é" / "python3"
    venv.create(home / ".venv", symlinks=True)
    folder = home / "runs" / "one"
    (folder / "tmp").mkdir(parents=True)
    monkeypatch.setattr(sys, "executable", str(home / ".venv" / "bin" / "python"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    run = LocalRun(folder=folder, ir=folder / "pipeline.yaml", policy_text="", parameters={})
    compiler.Compiler().compile(_one_step, str(run.ir))
    write_json(folder / "parameters.json", {"path": str(folder / "note")})
    execute(run, lambda _: None)
    assert (folder / "note").read_text() == sys.executable


def test_only_the_call_of_python_is_replaced():
    command = ["sh", "-ec", "X=1 python3 -m kfp.dsl.executor_main", "import python3", '{"uri": "/python3/"}']
    changed = name_interpreter(command, "/a b/python")
    assert changed == [*command[:2], "X=1 '/a b/python' -m kfp.dsl.executor_main", *command[3:]]


def test_a_reader_that_goes_away_ends_the_processes_of_the_run(tmp_path, monkeypatch):
    started, start = [], subprocess.Popen

    def starting(_, **settings):
        started.append(start([sys.executable, "-c", "import time; time.sleep(60)"], **settings))
        (tmp_path / "events.jsonl").write_text('{"step": "fetch", "event": "start"}\n')
        return started[0]

    def gone(_):
        raise ReaderGone("the reader of the output is gone")

    monkeypatch.setattr(local.subprocess, "Popen", starting)
    run = LocalRun(folder=tmp_path, ir=tmp_path / "pipeline.yaml", policy_text="", parameters={})
    try:
        with pytest.raises(ReaderGone):
            execute(run, gone)
        assert started[0].poll() == -signal.SIGKILL
    finally:
        started[0].kill()
        started[0].wait()

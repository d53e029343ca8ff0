"""A real model server answers as the trained model and is gone afterwards; what one does wrong is seen."""

import contextlib
import secrets
import signal
import subprocess
import sys

import psutil
import pytest
from model_server import EXAMPLES, double, write_files
from processes import wait_for
from reports import DIGESTS
from tiers import SLOW, sampled

from ml.core.errors import Interrupted, RunFailed
from ml.core.files import file_digest, read_json
from ml.gate.subjects.serving import Serving
from ml.onnx import server_process, serving
from ml.onnx.server_process import PYTHON, TOKEN, ServerTimeouts, server_command, started

MARK = secrets.token_hex(16)
"""The token of every server here, and of none of another session."""

SHORT = ServerTimeouts(ready=20, whole=60, stop=5)


def alive() -> int:
    """Count the processes that carry a server's token."""
    found = 0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            found += process.environ().get(TOKEN) == MARK
    return found


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch):
    monkeypatch.setattr(server_process.secrets, "token_hex", lambda _: MARK)
    yield
    assert alive() == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("serving")
    write_files(folder)
    return folder


@pytest.fixture
def real(folder):
    """Give the command of the real server, or skip where its environment is not set up."""
    try:
        return server_command(folder / "model.onnx", "jukebox")
    except RunFailed as error:
        pytest.skip(str(error))


@pytest.fixture
def serve(folder, tmp_path, monkeypatch):
    """Return a function that checks a double in a mode, or the real server, and reads the report."""

    def serve(mode: str | None, **timeouts: float) -> Serving:
        if mode:
            monkeypatch.setattr(serving, "server_command", lambda model, _: double(mode, model))
            monkeypatch.setattr(serving, "LATENCY_CALLS", 20)
        inputs = [folder / name for name in ("model.onnx", "served.json", "reference.parquet", "labels.json")]
        limits = ServerTimeouts(**{"ready": 20, "whole": 60, "stop": 5, **timeouts})
        serving.check_serving(*inputs, tmp_path / "serving.json", limits)
        return Serving.load(read_json(tmp_path / "serving.json"))

    return serve


def wait_until_ready(server):
    client = serving.InferenceClient(server)
    server.wait_until(lambda: serving._ready(client))


def seen(report: Serving) -> dict[str, object]:
    """Return what a report says of a server that treats all batches and all bad requests alike."""
    batches = [(batch.size, batch.rows) for batch in report.batches]
    assert (batches, len(report.bad_requests)) == (
        [(1, EXAMPLES), (7, 14), (64, 64), (EXAMPLES, EXAMPLES)],
        11,
    )
    (wrong,) = {(batch.violations > 0, batch.max_difference > 5e-4) for batch in report.batches}
    (flips,) = {batch.top1_flips > 0 for batch in report.batches}
    (refuses,) = {bad.status // 100 for bad in report.bad_requests}
    names = [problem.split(":")[0] for problem in report.interface_problems]
    end, after = (report.ended_cleanly, report.processes_left), report.wrong_after_bad
    return {"wrong": wrong, "flips": flips, "refuses": refuses, "after": after, "names": names, "end": end}


RIGHT = {"wrong": (False, False), "flips": False, "refuses": 4, "after": 0, "names": [], "end": (True, 0)}
WRONG = {"wrong": (True, True), "after": 11}
MODES = {
    "right": {},
    "off": WRONG,
    **{key: {**WRONG, "flips": True} for key in ("reversed", "narrow", "null")},
    "accepts": {"refuses": 2},
    "breaks": {"refuses": 5},
    "drops": {"refuses": 0},
    "forgets": {"after": 11},
    "metadata": {"names": ["inputs"]},
    **{key: {"end": (True, 1)} for key in ("leaks", "escapes")},
    "stays": {"end": (False, 0)},
}
RARE = ("reversed", "narrow", "null", "leaks", "stays")


@pytest.mark.parametrize("mode", sampled(MODES, set(MODES) - set(RARE)))
def test_what_a_server_does_is_reported_and_nothing_else(serve, mode):
    report = serve(mode, stop=1 if mode == "stays" else 5)
    assert seen(report) == {**RIGHT, **MODES[mode]}
    assert (report.server, report.version) == ("double", "1")


FAILURES = {
    "exits": r"ended with code 3 before it was ready; its log ends: first line \| cannot read the model$",
    "never_ready": "was not ready after 2 s; its log ends: it is empty$",
    "hangs": "was not ready after 2 s",
    "short": "answers a golden request of 1 rows with something else",
    "other_type": r"with something else \(another type or shape\)",
    **dict.fromkeys(("list", "number", "html", "text", "other_name"), "with something else"),
    **{
        mode: f"answers {code} to a golden"
        for mode, code in (("redirects", 307), ("error", 500), ("busy", 503))
    },
    "dies": r"gives no answer \(ConnectionError\); its log ends: Segmentation fault$",
    "trickles": "was not done after 3 s",
}


@pytest.mark.parametrize("mode", sampled(FAILURES, set(FAILURES) - {"trickles"}))
def test_a_server_that_fails_is_one_clear_line_and_no_report(serve, tmp_path, mode):
    ready, whole = 2 if mode in ("never_ready", "hangs") else 20, 3 if mode == "trickles" else 60
    with pytest.raises(RunFailed, match=f"^the model server .*{FAILURES[mode]}") as caught:
        serve(mode, ready=ready, whole=whole)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "serving.json").exists()


def test_kserves_server_answers_as_the_trained_model_refuses_nonsense_and_ends(serve, folder, real):
    report = serve(None)
    assert (seen(report), report.server) == (RIGHT, "kserve")
    assert 0 < report.latency.p50_ms <= report.latency.p99_ms
    assert 50 < report.peak_memory_mb < 1000
    digests = (report.onnx_digest, report.served_digest, report.model_digest, report.test_digest)
    rest = (DIGESTS[name] for name in ("served.json", "model.keras", "test.parquet"))
    assert digests == (file_digest(folder / "model.onnx"), *rest)


def test_kserves_server_says_why_it_cannot_load_a_model(real, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no model")
    command, said = server_command(tmp_path / "model.onnx", "jukebox"), "ended with code 1 .*INVALID_PROTOBUF"
    with started(command, SHORT) as server, pytest.raises(RunFailed, match=said):
        server.wait_until(lambda: False)


@SLOW
def test_kserves_server_listens_on_loopback_alone(real):
    with started(real, SHORT) as server:
        wait_until_ready(server)
        sockets = psutil.Process(server.process.pid).net_connections()
        assert {each.laddr.ip for each in sockets if each.status == psutil.CONN_LISTEN} == {"127.0.0.1"}


@SLOW
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_kserves_server_ends_with_whoever_started_it(real, end):
    """No `finally` runs when a process is killed, so the server has to notice by itself."""
    script = f"""
import sys, time
sys.path += {sys.path}
from {__name__} import SHORT, server_process, started, wait_until_ready
server_process.secrets.token_hex = lambda _: {MARK!r}
with started({real}, SHORT) as server:
    wait_until_ready(server)
    print("ready", flush=True)
    time.sleep(1000)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout.readline() == "ready\n"
        assert alive() == 1
        starter.send_signal(end)
    wait_for(lambda: not alive(), 10)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, Interrupted, SystemExit])
def test_nothing_is_left_whatever_happens_meanwhile(folder, error):
    with pytest.raises(error), started(double("escapes", folder / "model.onnx"), SHORT) as server:
        wait_until_ready(server)
        assert alive() == 2
        raise error
    assert alive() == 0
    assert not server.log.parent.exists()


def test_a_server_that_was_killed_is_gone_though_nobody_has_waited_for_it(folder):
    with started(double("right", folder / "model.onnx"), SHORT) as server:
        server.process.kill()
        wait_for(lambda: psutil.Process(server.process.pid).status() == psutil.STATUS_ZOMBIE)
        assert server.processes() == []
        with pytest.raises(RunFailed, match="is gone"):
            server.peak_memory_mb()


def test_without_an_environment_it_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(server_process, "PLACES", (tmp_path / "a", tmp_path / "b"))
    for given, looked in (("", f"{tmp_path}/a, {tmp_path}/b"), (f"{tmp_path}/python", f"{tmp_path}/python")):
        monkeypatch.setenv(PYTHON, given)
        with pytest.raises(RunFailed, match=f"no model server at {looked}: run `make setup`"):
            server_command("model.onnx", "jukebox")


def test_what_cannot_be_started_is_said(tmp_path, monkeypatch):
    for said in ("cannot start the model server", "on Linux only, there is no .*/proc here"):
        with pytest.raises(RunFailed, match=said), started([str(tmp_path / "nothing")], SHORT):
            pass
        monkeypatch.setattr(server_process, "PROC", tmp_path / "proc")

"""A real model server answers as Keras does and is gone afterwards; whatever a server does wrong is seen."""

import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

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


def alive() -> list[str]:
    """Find every process that carries a server's token: none of ours outlives its server."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                environment = (folder / "environ").read_bytes()
            except OSError:
                continue
            if f"{TOKEN}={MARK}".encode() in environment:
                found.append((folder / "cmdline").read_bytes().decode())
    return found


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch):
    """Let no process be left, whatever a test does."""
    monkeypatch.setattr(server_process.secrets, "token_hex", lambda _: MARK)
    yield
    assert alive() == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("serving")
    write_files(folder)
    return folder


@pytest.fixture
def serve(folder, tmp_path, monkeypatch):
    """Return a function that checks a double in a mode, or the real server, and reads the report."""

    def serve(mode: str | None, timeouts: ServerTimeouts = SHORT) -> Serving:
        if mode:
            monkeypatch.setattr(serving, "server_command", lambda model, _: double(mode, model))
            monkeypatch.setattr(serving, "LATENCY_CALLS", 20)
        inputs = [folder / name for name in ("model.onnx", "served.json", "reference.parquet", "labels.json")]
        serving.check_serving(*inputs, tmp_path / "serving.json", timeouts)
        return Serving.load(read_json(tmp_path / "serving.json"))

    return serve


@pytest.fixture
def real():
    """Skip where the server's environment is not set up."""
    try:
        server_command("model.onnx", "jukebox")
    except RunFailed as error:
        pytest.skip(str(error))


def statuses(report: Serving) -> dict[str, int]:
    return {bad.name: bad.status for bad in report.bad_requests}


def test_kserves_server_answers_as_keras_refuses_nonsense_and_ends(serve, folder, real):
    report = serve(None)
    assert report.server == "kserve"
    assert report.interface_problems == ()
    assert [batch.size for batch in report.batches] == [1, 7, 64, EXAMPLES]
    assert [batch.rows for batch in report.batches] == [EXAMPLES, 14, 64, EXAMPLES]
    assert all(batch.violations == batch.top1_flips == 0 for batch in report.batches)
    assert {status // 100 for status in statuses(report).values()} == {4}
    assert len(statuses(report)) == 11
    assert report.wrong_after_bad == 0
    assert 0 < report.latency.p50_ms <= report.latency.p99_ms
    assert 50 < report.peak_memory_mb < 1000
    assert (report.ended_cleanly, report.processes_left) == (True, 0)
    assert report.onnx_digest == file_digest(folder / "model.onnx")
    assert report.served_digest == DIGESTS["served.json"]
    assert (report.model_digest, report.test_digest) == (DIGESTS["model.keras"], DIGESTS["test.parquet"])


def test_kserves_server_says_why_it_cannot_load_a_model(real, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no model")
    command = server_command(tmp_path / "model.onnx", "jukebox")
    said = r"ended with code 1 before it was ready.*INVALID_PROTOBUF"
    with started(command, SHORT) as server, pytest.raises(RunFailed, match=said):
        server.wait_until(lambda: False)


@SLOW
def test_kserves_server_listens_on_loopback_alone(real, folder):
    with started(server_command(folder / "model.onnx", "jukebox"), SHORT) as server:
        client = serving.InferenceClient(server)
        server.wait_until(lambda: serving._ready(client))
        tables = Path(f"/proc/{server.process.pid}/net")
        listening = [
            line.split()[1]
            for name in ("tcp", "tcp6")
            for line in (tables / name).read_text().splitlines()[1:]
        ]
        port = f"{int(server.url.split(':')[2].split('/')[0]):04X}"
        assert {address.split(":")[0] for address in listening if address.endswith(f":{port}")} == {
            "0100007F"
        }


@SLOW
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_kserves_server_ends_with_whoever_started_it(real, folder, tmp_path, end):
    """No `finally` runs when a process is killed, so the server has to notice by itself."""
    script = tmp_path / "starter.py"
    script.write_text(f"""
import time
from ml.onnx import server_process
server_process.secrets.token_hex = lambda _: {MARK!r}
from ml.onnx.server_process import ServerTimeouts, server_command, started
from ml.onnx.requests_v2 import InferenceClient
from ml.onnx.serving import _ready
with started(server_command({str(folder / "model.onnx")!r}, "jukebox"), ServerTimeouts()) as server:
    client = InferenceClient(server)
    server.wait_until(lambda: _ready(client))
    print("ready", flush=True)
    time.sleep(1000)
""")
    command = [sys.executable, str(script)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]
    ) as starter:
        assert starter.stdout.readline() == "ready\n"
        assert len(alive()) == 1
        starter.send_signal(end)
    wait_for(lambda: not alive(), 10)


def test_without_an_environment_it_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv(PYTHON, str(tmp_path / "python"))
    with pytest.raises(RunFailed, match=f"no model server at {tmp_path}/python: run `make setup`"):
        server_command("model.onnx", "jukebox")
    monkeypatch.delenv(PYTHON)
    monkeypatch.setattr(server_process, "PLACES", (tmp_path / "a", tmp_path / "b"))
    with pytest.raises(RunFailed, match=f"at {tmp_path}/a, {tmp_path}/b: run"):
        server_command("model.onnx", "jukebox")


def test_a_double_that_does_everything_right_has_no_findings(serve):
    report = serve("right")
    assert set(statuses(report).values()) == {400}
    assert all(batch.violations == 0 and batch.max_difference < 1e-6 for batch in report.batches)
    assert (report.server, report.version, report.wrong_after_bad) == ("double", "1", 0)
    assert (report.ended_cleanly, report.processes_left) == (True, 0)


@pytest.mark.parametrize("mode", sampled(["off", "reversed", "narrow", "null"], ["off"]))
def test_other_answers_are_violations_in_every_batch_size(serve, mode):
    report = serve(mode)
    assert all(batch.violations and batch.max_difference > 5e-4 for batch in report.batches)
    if mode == "reversed":
        assert all(batch.top1_flips for batch in report.batches)


def test_what_a_server_answers_to_nonsense_is_told(serve):
    assert set(statuses(serve("accepts")).values()) == {200}
    assert set(statuses(serve("breaks")).values()) == {500}
    assert set(statuses(serve("drops")).values()) == {0}


def test_a_server_that_nonsense_puts_off_its_stride_is_seen(serve):
    report = serve("forgets")
    assert report.wrong_after_bad == len(report.bad_requests)
    assert all(batch.violations == 0 for batch in report.batches)


def test_other_metadata_is_told(serve):
    (problem,) = serve("metadata").interface_problems
    assert problem.startswith("inputs: ")
    assert "width" in problem


@pytest.mark.parametrize(
    ("mode", "message"),
    {
        "exits": r"ended with code 3 before it was ready; its log ends: first line \| cannot read the model$",
        "never_ready": "was not ready after 2 s; its log ends: it is empty$",
        "hangs": "was not ready after 2 s",
        "short": "answers a golden request of 1 rows with something else",
        "list": "with something else",
        "number": "with something else",
        "html": "with something else",
        "text": "with something else",
        "other_name": "with something else",
        "other_type": r"with something else \(another type or shape\)",
        "redirects": "answers 307 to a golden request",
        "error": "answers 500 to a golden request",
        "busy": "answers 503 to a golden request",
        "dies": r"gives no answer \(ConnectionError\); its log ends: Segmentation fault$",
    }.items(),
)
def test_a_server_that_fails_is_one_clear_line_and_no_report(serve, tmp_path, mode, message):
    with pytest.raises(RunFailed, match=message) as caught:
        serve(mode, ServerTimeouts(ready=2 if mode in ("never_ready", "hangs") else 20, whole=60, stop=5))
    assert str(caught.value).startswith("the model server ")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "serving.json").exists()


@SLOW
def test_a_server_that_never_finishes_an_answer_is_ended_in_time(serve):
    start = time.monotonic()
    with pytest.raises(RunFailed, match="was not done after 3 s"):
        serve("trickles", ServerTimeouts(ready=20, whole=3, stop=5))
    assert time.monotonic() - start < 15


@SLOW
def test_a_server_that_heeds_no_signal_did_not_end_cleanly_and_is_gone(serve):
    report = serve("stays", ServerTimeouts(ready=20, whole=60, stop=1))
    assert (report.ended_cleanly, report.processes_left) == (False, 0)


@pytest.mark.parametrize("mode", sampled(["leaks", "escapes"], ["escapes"]))
def test_children_that_a_server_leaves_behind_are_counted_and_gone(serve, mode):
    report = serve(mode)
    assert (report.ended_cleanly, report.processes_left) == (True, 1)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, Interrupted, SystemExit])
def test_nothing_is_left_whatever_happens_meanwhile(folder, error):
    with pytest.raises(error), started(double("escapes", folder / "model.onnx"), SHORT) as server:
        client = serving.InferenceClient(server)
        server.wait_until(lambda: serving._ready(client))
        assert len(alive()) == 2
        raise error
    assert alive() == []
    assert not server.log.parent.exists()


def test_what_cannot_be_started_is_said(tmp_path):
    missing = started([str(tmp_path / "nothing")], SHORT)
    with pytest.raises(RunFailed, match="cannot start the model server"), missing:
        pass


def test_a_system_without_proc_is_told_of_before_anything_is_started(tmp_path, monkeypatch):
    monkeypatch.setattr(server_process, "PROC", tmp_path / "proc")
    refused = started([str(tmp_path / "nothing")], SHORT)
    with pytest.raises(RunFailed, match=r"on Linux alone, there is no .*/proc here"), refused:
        pass

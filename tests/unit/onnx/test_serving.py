"""A real model server answers as the trained model and is gone afterwards; what one does wrong is seen."""

import contextlib
import json
import secrets
import signal
import subprocess
import sys
from collections import defaultdict
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from model_server import double
from processes import wait_for
from servers import Site, closed_port, serving
from tiers import SLOW

from ml.core.canonical import digest
from ml.core.errors import RunFailed
from ml.core.files import file_digest, read_json
from ml.gate.subjects.parity import Latency
from ml.gate.subjects.serving import Serving
from ml.onnx import server_process
from ml.onnx import serving as step
from ml.onnx.requests_v2 import InferenceClient
from ml.onnx.server_process import PYTHON, TOKEN, Server, ServerTimeouts, server_command, started
from ml.onnx.serving_scores import ServerAnswers, ServerFacts, compare, score_serving

MARK = secrets.token_hex(16)
"""The token of every server here, and of none of another session."""

SHORT = ServerTimeouts(ready=20, whole=60, stop=5)
REFERENCE = np.array([[0.5, 0.3, 0.2], [0.4, 0.4 + 1e-6, 0.2]], "float32")


@pytest.mark.parametrize(
    ("answers", "worst", "violations", "flips"),
    [
        (REFERENCE[:, [0, 1, 2]], 0, 0, 0),
        (REFERENCE + np.float32(2e-3), 2e-3, 6, 0),
        (REFERENCE[:, [1, 0, 2]], 0.2, 2, 1),
        (np.where(REFERENCE == 0.5, np.float32(np.nan), REFERENCE), 1e9, 1, 1),
        (REFERENCE[:, 1:], 1e9, 6, 0),
    ],
    ids=["right", "off", "another class, and a tie", "NaN", "narrow"],
)
def test_answers_are_compared_number_by_number(answers, worst, violations, flips):
    batch = compare(7, answers, REFERENCE, 3)
    assert (batch.size, batch.requests, batch.rows) == (7, 3, 2)
    assert (batch.violations, batch.top1_flips) == (violations, flips)
    assert batch.max_difference == pytest.approx(worst, abs=1e-6)


def test_wrong_metadata_and_wrong_answers_after_bad_requests_are_told():
    latency, metadata = Latency(p50_ms=1, p99_ms=1, calls=1), {"name": "jukebox", "inputs": [], "outputs": 7}
    about = {"server": "s", "version": "1", "ready_seconds": 1.0, "bad_requests": (), "latency": latency}
    facts = ServerFacts(**about, metadata=metadata, peak_memory_mb=1.0, ended_cleanly=True, processes_left=0)
    found = ServerAnswers(facts, {}, [REFERENCE[:1], REFERENCE[:1] + np.float32(2e-3), REFERENCE[:1, ::-1]])
    report = score_serving(found, REFERENCE, 5, defaultdict(lambda: digest(b"")))
    assert [problem.split(":")[0] for problem in report.interface_problems] == ["inputs", "outputs"]
    assert report.wrong_after_bad == 2
    found = replace(found, facts=facts.model_copy(update={"metadata": None}))
    report = score_serving(found, REFERENCE, 5, defaultdict(lambda: digest(b"")))
    assert report.interface_problems == ("the model has no metadata",)


INFER = "/v2/models/jukebox/infer"
OUTPUT = {"name": "probabilities", "datatype": "FP32", "shape": [2, 3], "data": [0.1, None, 0.3] * 2}
ROWS = np.zeros((2, 5), "float32")


@pytest.fixture
def client(tmp_path):
    """A client of a server of fixed files, which are ``site.files``."""
    (tmp_path / "log").touch()
    with serving(Site(files={INFER: json.dumps({"outputs": [OUTPUT]}).encode()})) as site:
        process = SimpleNamespace(wait=lambda _: 0)
        server = Server(f"{site.url}/v2", process, tmp_path / "log", "", ServerTimeouts())
        yield SimpleNamespace(site=site, server=server, ask=InferenceClient(server))


CHANGES = ({"name": "scores"}, {"datatype": "FP64"}, {"shape": [1, 6]}, {"data": "loud"})


@pytest.mark.parametrize("content", [[], "x", *({"outputs": [{**OUTPUT, **change}]} for change in CHANGES)])
def test_what_is_no_answer_to_the_rows_is_one_clear_line(client, content):
    assert np.array_equal(client.ask.infer(ROWS), np.float32(OUTPUT["data"]).reshape(2, 3), equal_nan=True)
    client.site.files[INFER] = json.dumps(content).encode()
    told = r"^the model server answers a golden request of 2 rows with something else \(.*\); its log ends"
    with pytest.raises(RunFailed, match=told):
        client.ask.infer(ROWS)


def test_a_status_is_told_and_a_redirect_is_not_followed(client):
    client.site.redirects["/v2"] = INFER
    assert client.ask.get("") is None
    client.site.status = 503
    assert client.ask.status(b"x") == 503
    with pytest.raises(RunFailed, match=r"^the model server answers 503 to a golden request;"):
        client.ask.infer(ROWS)
    client.server.url = f"http://127.0.0.1:{closed_port()}/v2"
    assert client.ask.status(b"x") == 0


def alive() -> int:
    """Count the processes that carry a server's token."""
    count = 0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            count += process.environ().get(TOKEN) == MARK
    return count


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch):
    monkeypatch.setattr(server_process.secrets, "token_hex", lambda _: MARK)
    yield
    assert alive() == 0


@pytest.fixture
def real(made):
    """Give the command of the real server, or skip where its environment is not set up."""
    try:
        return server_command(made.folder / "model.onnx", "jukebox")
    except RunFailed as error:
        pytest.skip(str(error))


@pytest.fixture
def start(made):
    """Return a function that starts a double in a mode."""
    return lambda mode, **limits: started(double(mode, made.folder / "model.onnx"), replace(SHORT, **limits))


def wait_until_ready(server):
    client = InferenceClient(server)
    server.wait_until(lambda: step._ready(client))


@pytest.mark.parametrize("name", ["double", "kserve"])
def test_a_right_server_answers_as_the_trained_model_refuses_nonsense_and_ends(
    name, made, tmp_path, request, monkeypatch
):
    if name == "double":
        monkeypatch.setattr(step, "server_command", lambda model, _: double("right", model))
    else:
        request.getfixturevalue("real")
    files = ("model.onnx", "served.json", "reference.parquet", "labels.json")
    step.check_serving(*(made.folder / file for file in files), tmp_path / "serving.json", SHORT)
    report = Serving.load(read_json(tmp_path / "serving.json"))
    batches = [(batch.size, batch.rows, batch.violations, batch.top1_flips) for batch in report.batches]
    assert batches == [(1, 100, 0, 0), (7, 399, 0, 0), (64, 384, 0, 0), (400, 400, 0, 0)]
    assert [bad.status // 100 for bad in report.bad_requests] == [4] * 11
    assert (report.wrong_after_bad, report.interface_problems) == (0, ())
    assert (report.server, report.ended_cleanly, report.processes_left) == (name, True, 0)
    assert 0 < report.latency.p50_ms <= report.latency.p99_ms
    assert 20 < report.peak_memory_mb < 1000
    digests = (report.onnx_digest, report.served_digest, report.model_digest, report.test_digest)
    files = ("model.onnx", "served.json", "model.keras", "test.parquet")
    assert digests == tuple(file_digest(made.folder / file) for file in files)


@pytest.mark.parametrize(
    ("mode", "stop", "clean", "left"),
    [("leaks", 5, True, 1), ("escapes", 5, True, 1), ("stays", 1, False, 0)],
)
def test_how_a_server_ends_is_seen_and_nothing_is_left(start, mode, stop, clean, left):
    with start(mode, stop=stop) as server:
        wait_until_ready(server)
        server.stop()
        assert (server.clean, server.left) == (clean, left)
    assert (alive(), server.log.parent.exists()) == (0, False)


@pytest.mark.parametrize(
    ("mode", "limits", "told"),
    [
        ("exits", {}, r"ended with code 3 before it was ready; its log ends: first line \| cannot read the"),
        ("never_ready", {"ready": 2}, "was not ready after 2 s; its log ends: it is empty$"),
        ("dies", {}, r"gives no answer \(ConnectionError\); its log ends: Segmentation fault$"),
        pytest.param("trickles", {"whole": 3}, "was not done after 3 s", marks=SLOW),
    ],
)
def test_a_server_that_fails_is_one_clear_line(start, mode, limits, told):
    with pytest.raises(RunFailed, match=f"^the model server {told}"), start(mode, **limits) as server:
        wait_until_ready(server)
        InferenceClient(server).infer(np.full((1, 6), np.nan))


@SLOW
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_kserves_server_listens_on_loopback_alone_and_ends_with_whoever_started_it(real, end):
    """No `finally` runs when a process is killed, so the server has to notice by itself."""
    script = f"""
import sys, time
sys.path += {sys.path}
from {__name__} import SHORT, server_process, started, wait_until_ready
server_process.secrets.token_hex = lambda _: {MARK!r}
with started({real}, SHORT) as server:
    wait_until_ready(server)
    print(server.process.pid, flush=True)
    time.sleep(1000)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as starter:
        sockets = psutil.Process(int(starter.stdout.readline())).net_connections()
        assert {each.laddr.ip for each in sockets if each.status == psutil.CONN_LISTEN} == {"127.0.0.1"}
        assert alive() == 1
        starter.send_signal(end)
    wait_for(lambda: not alive(), 10)


def test_a_server_that_was_killed_is_gone_though_nobody_has_waited_for_it(start):
    with pytest.raises(RunFailed, match="is gone"), start("right") as server:
        server.process.kill()
        wait_for(lambda: psutil.Process(server.process.pid).status() == psutil.STATUS_ZOMBIE)
        server.peak_memory_mb()


def test_what_cannot_be_started_is_said(monkeypatch, tmp_path):
    for given, looked in (("", ".*server/bin/python, /opt/server/bin/python"), ("/python", "/python")):
        monkeypatch.setenv(PYTHON, given)
        monkeypatch.setattr(server_process.os, "access", lambda *_: False)
        with pytest.raises(RunFailed, match=f"^no model server at {looked}: run `make setup`"):
            server_command("model.onnx", "jukebox")
    for said in ("cannot start the model server", "on Linux only, there is no .*/proc here"):
        with pytest.raises(RunFailed, match=said), started([str(tmp_path / "nothing")], SHORT):
            pass
        monkeypatch.setattr(server_process, "PROC", tmp_path / "proc")

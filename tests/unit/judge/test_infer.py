"""infer looks around before it loads anything, takes only what is allowed, and writes what score reads."""

import os
import socket
import zipfile

import numpy as np
import pytest
from judged import COUNTRIES, SEALED, WEIGHTS, write_asked
from keras_files import DENSE, functional, write_keras
from onnx_models import write_model
from reports import BAD_REQUESTS

from ml.core.errors import EvidenceError, GateBlocked, PlatformError, UsageError
from ml.core.files import read_json
from ml.gate.subjects.serving import BadRequest
from ml.judge import infer as module
from ml.judge import isolation
from ml.judge.allowed import check_candidate
from ml.judge.answered import Answered
from ml.judge.infer import infer
from ml.judge.isolation import CREDENTIALS
from ml.judge.score import score
from ml.onnx import serving_scores, training
from ml.onnx.runtimes import open_session
from ml.onnx.serving_scores import ServerAnswers, ServerFacts


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """Let there be neither credentials nor a resolver here."""
    for name in list(os.environ):
        if CREDENTIALS.fullmatch(name):
            monkeypatch.delenv(name)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr(isolation, "RESOLVER", tmp_path / "resolv.conf")
    monkeypatch.setattr(isolation, "TOKENS", ())


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A candidate's files: a matrix and a softmax, and a Keras file that nobody loads here."""
    folder = tmp_path_factory.mktemp("candidate")
    onnx = write_model(folder / "model.onnx", WEIGHTS / 1000, {"labels": COUNTRIES})
    keras = write_keras(folder / "model.keras", functional(DENSE))
    return {path.name: path.read_bytes() for path in (onnx, keras)}


@pytest.fixture
def untouched(monkeypatch):
    """Let nothing be loaded."""
    for name in ("check_candidate", "open_runtimes", "ask_server"):
        monkeypatch.setattr(module, name, lambda *_: pytest.fail("was loaded"))


@pytest.fixture
def doubles(monkeypatch, files):
    """Let the ONNX model answer for Keras and for the model server as well."""
    session = open_session(files["model.onnx"])

    class Network:
        def __call__(self, rows, training):
            self.answers = session.run(None, {"features": rows})[0]
            return self

        def numpy(self):
            return self.answers

    def ask_server(path, rows, timeouts):
        facts = ServerFacts(
            server="double",
            version="1",
            metadata={},
            ready_seconds=1.0,
            bad_requests=tuple(BadRequest(name=name, status=400) for name in BAD_REQUESTS),
            latency={"p50_ms": 1.0, "p99_ms": 1.0, "calls": 300},
            peak_memory_mb=1.0,
            ended_cleanly=True,
            processes_left=0,
        )
        answers = Network()
        batches = {
            size: answers(rows[serving_scores.asked_rows(size, len(rows))], training=False).numpy()
            for size in serving_scores.batch_sizes(len(rows))
        }
        return ServerAnswers(facts, batches, [answers(rows[:1], training=False).numpy()] * len(BAD_REQUESTS))

    monkeypatch.setattr(module, "ask_server", ask_server)
    monkeypatch.setattr(training, "load_network", lambda _: Network())


def refused(kind, message, work, *args):
    with pytest.raises(kind, match=message) as caught:
        infer(work, *args)
    assert "\n" not in str(caught.value)
    assert not (work / "answers/answers.json").exists()


def test_what_it_writes_is_what_score_reads(tmp_path, files, doubles):
    write_asked(tmp_path, "attested", **files)
    (tmp_path / "champion/model.onnx").write_bytes(b"champion")
    infer(tmp_path)
    answered = Answered.load(read_json(tmp_path / "answers/answers.json"))
    assert answered.isolation["store"] == "no address known here"
    assert answered.champion.incomparable == "model.onnx is not an ONNX model"
    score(tmp_path)
    evaluation = read_json(tmp_path / "measured.json")["reports"]["evaluation"]
    assert evaluation["songs"] == len(SEALED.ids)
    assert evaluation["champion"]["incomparable"] == "model.onnx is not an ONNX model"


def test_it_needs_no_labels(tmp_path, files, doubles):
    write_asked(tmp_path, **files)
    for path in (tmp_path / "labels").iterdir():
        path.unlink()
    infer(tmp_path)
    with zipfile.ZipFile(tmp_path / "answers/served.npz") as archive:
        assert "test.1.npy" in archive.namelist()


def test_where_the_store_answers_nothing_is_loaded(tmp_path, files, untouched):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        write_asked(tmp_path, store=f"127.0.0.1:{server.getsockname()[1]}", **files)
        refused(PlatformError, "where these answer: store 127.0.0.1", tmp_path)


def test_beside_a_credential_nothing_is_loaded(tmp_path, files, untouched, monkeypatch):
    write_asked(tmp_path, **files)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    refused(UsageError, r"credentials \(AWS_SECRET_ACCESS_KEY\)", tmp_path)


@pytest.mark.parametrize("name", ["model/model.onnx", "features/features.parquet", "champion/model.onnx"])
def test_a_file_that_was_changed_is_refused(tmp_path, files, untouched, name):
    write_asked(tmp_path, "attested", **files)
    (tmp_path / name).write_bytes(b"changed")
    refused(EvidenceError, f"{name} is missing or was changed", tmp_path)


def test_another_asked_than_was_handed_over_is_refused(tmp_path, files, untouched):
    write_asked(tmp_path, **files)
    refused(EvidenceError, "its digest is", tmp_path, "sha256:" + "0" * 64)


def test_text_as_a_model_is_refused_in_one_line(tmp_path, files):
    write_asked(tmp_path, **{**files, "model.onnx": b"trust me, it is good\n"})
    refused(GateBlocked, r"^model\.onnx is not an ONNX model$", tmp_path)


def test_a_keras_file_that_is_none_is_refused_in_one_line(tmp_path, files):
    write_asked(tmp_path, **{**files, "model.keras": b"weights"})
    refused(GateBlocked, r"^model\.keras: it is not a Keras file", tmp_path)


@pytest.mark.parametrize(
    ("served", "message"),
    [
        (b"", r"^served\.json: "),
        (b"{}", r"^served\.json: "),
        (
            b'{"schema":"jukebox.served/v1","runtime":"openvino","settings":{"CACHE_DIR":"/x"}}\n',
            "the setting 'CACHE_DIR', which is not allowed",
        ),
        (b'{"schema": "jukebox.served/v1", "runtime": "openvino", "settings": {}}\n', "canonical"),
    ],
)
def test_how_it_is_served_is_checked_too(tmp_path, files, served, message):
    write_asked(tmp_path, **{**files, "served.json": served})
    refused(GateBlocked, message, tmp_path)


def test_what_the_check_returns_is_how_it_is_served(tmp_path, files):
    write_asked(tmp_path, **files)
    assert check_candidate(tmp_path / "model").runtime == "openvino"


def test_a_model_that_does_not_run_is_one_line(tmp_path, files, doubles):
    # A matrix of other features than there are.
    path = tmp_path / "other.onnx"
    write_model(path, np.ones((5, 8), "float32"), {"labels": COUNTRIES})
    write_asked(tmp_path, **{**files, "model.onnx": path.read_bytes()})
    refused(GateBlocked, r"^model\.onnx does not run: ", tmp_path)


def test_a_keras_model_that_does_not_load_is_one_line(tmp_path, files, doubles, monkeypatch):
    def fail(_):
        raise TypeError("Could not\nlocate class")

    monkeypatch.setattr(training, "load_network", fail)
    write_asked(tmp_path, **files)
    refused(GateBlocked, r"^model\.keras does not run: TypeError: Could not locate class$", tmp_path)

"""infer looks around before it loads anything, takes only what is allowed, and writes what score reads."""

import os
import socket
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from judged import CLASSES, FEATURES, METADATA, SEALED, WEIGHTS, write_asked
from keras_files import DENSE, functional, write_keras
from onnx_models import write_model
from reports import BAD_REQUESTS

from ml.core.canonical import digest
from ml.core.errors import EvidenceError, GateBlocked, PlatformError, UsageError
from ml.core.files import read_json, write_json
from ml.gate.subjects.serving import BadRequest
from ml.judge import infer as module
from ml.judge import isolation
from ml.judge.allowed import check_candidate
from ml.judge.answered import Answered
from ml.judge.infer import infer
from ml.judge.isolation import CREDENTIALS
from ml.judge.score import score
from ml.onnx import keras_file, serving_scores
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
    onnx = write_model(folder / "model.onnx", WEIGHTS / 1000, METADATA)
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

    def network(rows, training=False):
        return SimpleNamespace(numpy=lambda: session.run(None, {"features": rows})[0])

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
        sizes = serving_scores.batch_sizes(len(rows))
        asked = {size: rows[serving_scores.asked_rows(size, len(rows))] for size in sizes}
        batches = {size: network(batch).numpy() for size, batch in asked.items()}
        return ServerAnswers(facts, batches, [network(rows[:1]).numpy()] * len(BAD_REQUESTS))

    monkeypatch.setattr(module, "ask_server", ask_server)
    monkeypatch.setattr(keras_file, "load_network", lambda _: network)


def refused(kind, message, work, *args):
    with pytest.raises(kind, match=message) as caught:
        infer(work, *args)
    assert "\n" not in str(caught.value)
    assert not (work / "answers/answers.json").exists()


def test_what_it_writes_is_what_score_reads(tmp_path, files, doubles):
    write_asked(tmp_path, "attested", files=files)
    (tmp_path / "champion/model.onnx").write_bytes(b"champion")
    infer(tmp_path)
    answered = Answered.load(read_json(tmp_path / "answers/answers.json"))
    assert answered.isolation["store"] == "no address known here"
    assert answered.served == check_candidate(tmp_path / "model")
    assert answered.served.runtime == "openvino"
    assert answered.champion.incomparable == "model.onnx is not an ONNX model"
    score(tmp_path)
    evaluation = read_json(tmp_path / "measured.json")["reports"]["evaluation"]
    assert evaluation["examples"] == len(SEALED.ids)
    assert evaluation["champion"]["incomparable"] == "model.onnx is not an ONNX model"


def test_it_needs_no_labels(tmp_path, files, doubles):
    write_asked(tmp_path, files=files)
    for path in (tmp_path / "labels").iterdir():
        path.unlink()
    infer(tmp_path)
    with zipfile.ZipFile(tmp_path / "answers/served.npz") as archive:
        assert "test.1.npy" in archive.namelist()


def test_without_a_trained_model_only_the_exported_one_is_asked(tmp_path, files, doubles, monkeypatch):
    monkeypatch.setattr(keras_file, "load_network", lambda _: pytest.fail("was loaded"))
    write_asked(tmp_path, native=False, files=files)
    infer(tmp_path)
    written = {path.name for path in (tmp_path / "answers").iterdir()}
    assert written == {"answers.json", "served.npz", "onnxruntime.npz", "openvino.npz", "server.npz"}
    score(tmp_path)
    parity = read_json(tmp_path / "measured.json")["reports"]["parity"]
    assert parity["reference"] == "self-reported"
    assert parity["interface_problems"] == []
    # The third, OpenVINO as it comes, computes with fewer digits on some machines.
    families = [family for runtime in parity["runtimes"][:2] for family in runtime["families"]]
    assert {family["violations"] for family in families if family["name"] in ("test", "zeros")} == {0}


def test_an_attested_champion_is_asked_too(tmp_path, files, doubles):
    write_asked(tmp_path, "attested", files=files)
    (tmp_path / "champion/model.onnx").write_bytes(files["model.onnx"])
    asked = read_json(tmp_path / "asked.json")
    asked["files"]["champion/model.onnx"] = digest(files["model.onnx"])
    write_json(tmp_path / "asked.json", asked)
    said = infer(tmp_path)
    assert said.startswith("60 sealed examples and ")
    champion = read_json(tmp_path / "answers/answers.json")["champion"]
    assert champion == {"features": list(FEATURES), "labels": list(CLASSES), "incomparable": ""}
    score(tmp_path)
    evaluation = read_json(tmp_path / "measured.json")["reports"]["evaluation"]
    assert evaluation["champion"]["shared"]["log_loss"]["difference"]["value"] == pytest.approx(0, abs=1e-5)


def test_where_the_store_answers_nothing_is_loaded(tmp_path, files, untouched):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        write_asked(tmp_path, store=f"127.0.0.1:{server.getsockname()[1]}", files=files)
        refused(PlatformError, "where these answer: store 127.0.0.1", tmp_path)


def test_beside_a_credential_nothing_is_loaded(tmp_path, files, untouched, monkeypatch):
    write_asked(tmp_path, files=files)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    refused(UsageError, r"credentials \(AWS_SECRET_ACCESS_KEY\)", tmp_path)


@pytest.mark.parametrize("name", ["model/model.onnx", "features/features.parquet", "champion/model.onnx"])
def test_a_file_that_was_changed_is_refused(tmp_path, files, untouched, name):
    write_asked(tmp_path, "attested", files=files)
    (tmp_path / name).write_bytes(b"changed")
    refused(EvidenceError, f"{name} is missing or was changed", tmp_path)


def test_another_asked_than_was_handed_over_is_refused(tmp_path, files, untouched):
    write_asked(tmp_path, files=files)
    refused(EvidenceError, "its digest is", tmp_path, "sha256:" + "0" * 64)


CACHED = b'{"schema":"jukebox.served/v1","runtime":"openvino","settings":{"CACHE_DIR":"/x"}}\n'
SPACED = b'{"schema": "jukebox.served/v1", "runtime": "openvino", "settings": {}}\n'


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("model.onnx", b"trust me, it is good\n", r"^model\.onnx is not an ONNX model$"),
        ("model.keras", b"weights", r"^model\.keras: it is not a Keras file"),
        ("served.json", b"", r"^served\.json: "),
        ("served.json", b"{}", r"^served\.json: "),
        ("served.json", CACHED, "the setting 'CACHE_DIR', which is not allowed"),
        ("served.json", SPACED, "canonical"),
    ],
)
def test_a_file_that_is_not_allowed_is_refused_in_one_line(tmp_path, files, name, data, message):
    write_asked(tmp_path, files={**files, name: data})
    refused(GateBlocked, message, tmp_path)


def test_a_model_that_does_not_run_is_one_line(tmp_path, files, doubles):
    # A matrix of other features than there are.
    path = tmp_path / "other.onnx"
    write_model(path, np.ones((4, len(CLASSES)), "float32"), METADATA)
    write_asked(tmp_path, files={**files, "model.onnx": path.read_bytes()})
    refused(GateBlocked, r"^model\.onnx does not run: ", tmp_path)


def test_a_keras_model_that_does_not_load_is_one_line(tmp_path, files, doubles, monkeypatch):
    def fail(_):
        raise TypeError("Could not\nlocate class")

    monkeypatch.setattr(keras_file, "load_network", fail)
    write_asked(tmp_path, files=files)
    refused(GateBlocked, r"^model\.keras does not run: TypeError: Could not locate class$", tmp_path)

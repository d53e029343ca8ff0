"""infer looks around before it loads anything, takes only what is allowed, and writes what score reads."""

import os
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
from judged import CLASSES, FEATURES, METADATA, SERVER_FACTS, WEIGHTS, refused, write_asked
from keras_files import DENSE, functional, write_keras
from onnx_models import write_model
from servers import closed_port

from ml.core.errors import EvidenceError, GateBlocked, UsageError
from ml.core.files import read_json
from ml.judge import infer as module
from ml.judge import isolation
from ml.judge.allowed import check_candidate
from ml.judge.answered import Answered
from ml.judge.infer import infer
from ml.judge.score import score
from ml.onnx import keras_file, serving_scores
from ml.onnx.runtimes import open_session
from ml.onnx.serving_scores import ServerAnswers, ServerFacts


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """Let there be neither credentials nor a resolver here."""
    for name in list(os.environ):
        if isolation.CREDENTIALS.fullmatch(name):
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
def doubles(monkeypatch, files):
    """Let the ONNX model answer for Keras and for the model server as well."""
    session = open_session(files["model.onnx"])

    def ask(rows):
        return session.run(None, {"features": rows})[0]

    def ask_server(path, rows, timeouts):
        sizes = serving_scores.batch_sizes(len(rows))
        batches = {size: ask(rows[serving_scores.asked_rows(size, len(rows))]) for size in sizes}
        after_bad = [ask(rows[:1])] * len(SERVER_FACTS["bad_requests"])
        return ServerAnswers(ServerFacts.load(SERVER_FACTS), batches, after_bad)

    def network(rows, training=False):
        return SimpleNamespace(numpy=lambda: ask(rows))

    monkeypatch.setattr(module, "ask_server", ask_server)
    monkeypatch.setattr(keras_file, "load_network", lambda _: network)


def test_it_writes_what_score_reads_and_needs_no_labels(tmp_path, files, doubles):
    store = f"127.0.0.1:{closed_port()}"
    write_asked(tmp_path, "attested", store, files=files, champion=files["model.onnx"])
    (tmp_path / "labels").rename(tmp_path / "elsewhere")
    assert infer(tmp_path).startswith("60 sealed examples and ")
    (tmp_path / "elsewhere").rename(tmp_path / "labels")
    answered = Answered.load(read_json(tmp_path / "answers/answers.json"))
    assert answered.isolation["store 127.0.0.1"] == "Connection refused"
    assert (answered.served, answered.served.runtime) == (check_candidate(tmp_path / "model"), "openvino")
    assert (answered.champion.features, answered.champion.labels) == (FEATURES, CLASSES)
    score(tmp_path)
    reports = read_json(tmp_path / "measured.json")["reports"]
    difference = reports["evaluation"]["champion"]["shared"]["log_loss"]["difference"]["value"]
    assert difference == pytest.approx(0, abs=1e-5)
    assert (reports["parity"]["reference"], reports["parity"]["interface_problems"]) == ("native", [])
    # The third, OpenVINO as it comes, computes with fewer digits on some machines.
    families = [family for runtime in reports["parity"]["runtimes"][:2] for family in runtime["families"]]
    assert {family["violations"] for family in families if family["name"] in ("test", "zeros")} == {0}


def test_without_a_trained_model_only_the_exported_one_is_asked(tmp_path, files, doubles):
    write_asked(tmp_path, "attested", native=False, files=files)
    infer(tmp_path)
    written = {path.name for path in (tmp_path / "answers").iterdir()}
    assert written == {"answers.json", "served.npz", "onnxruntime.npz", "openvino.npz", "server.npz"}
    champion = read_json(tmp_path / "answers/answers.json")["champion"]
    assert champion["incomparable"] == "model.onnx is not an ONNX model"


CACHED = b'{"schema":"jukebox.served/v1","runtime":"openvino","settings":{"CACHE_DIR":"/x"}}\n'
SPACED = CACHED.replace(b'"CACHE_DIR":"/x"', b" ")


@pytest.mark.parametrize(
    ("candidate", "changed", "kind", "message"),
    [
        ({}, "model/model.onnx", EvidenceError, "model.onnx is missing or was changed after the download"),
        ({}, "features/features.parquet", EvidenceError, "features.parquet is missing or was changed"),
        ({}, "champion/model.onnx", EvidenceError, "champion/model.onnx is missing or was changed"),
        ({}, "asked.json", EvidenceError, "its digest is .*, not another"),
        ({}, "AWS_SECRET_ACCESS_KEY", UsageError, r"credentials \(AWS_SECRET_ACCESS_KEY\)"),
        ({"model.onnx": b"trust me"}, "", GateBlocked, r"^model\.onnx is not an ONNX model$"),
        ({"model.keras": b"weights"}, "", GateBlocked, r"^model\.keras: it is not a Keras file"),
        ({"served.json": b"{}"}, "", GateBlocked, r"^served\.json: "),
        ({"served.json": CACHED}, "", GateBlocked, "the setting 'CACHE_DIR', which is not allowed"),
        ({"served.json": SPACED}, "", GateBlocked, "canonical"),
    ],
)
def test_beside_a_credential_and_of_what_was_changed_or_is_not_allowed_nothing_is_loaded(
    tmp_path, files, monkeypatch, candidate, changed, kind, message
):
    for loads in ("open_runtimes", "ask_server"):
        monkeypatch.setattr(module, loads, lambda *_: pytest.fail("was loaded"))
    write_asked(tmp_path, "attested", files={**files, **candidate})
    if changed.isupper():
        monkeypatch.setenv(changed, "hunter2")
    elif changed:
        (tmp_path / changed).write_bytes(b"changed")
    refused(kind, message, infer, tmp_path, "another" if changed == "asked.json" else "")


def test_a_model_that_does_not_run_is_one_line(tmp_path, files, doubles, monkeypatch):
    monkeypatch.setattr(keras_file, "load_network", Mock(side_effect=TypeError("no\nclass")))
    write_asked(tmp_path, files=files)
    refused(GateBlocked, r"^model\.keras does not run: TypeError: no class$", infer, tmp_path)
    # A matrix of other features than there are.
    onnx = write_model(tmp_path / "other.onnx", np.ones((4, len(CLASSES)), "float32"), METADATA)
    write_asked(tmp_path, files={**files, "model.onnx": onnx.read_bytes()})
    refused(GateBlocked, r"^model\.onnx does not run: ", infer, tmp_path)
    assert not (tmp_path / "answers/answers.json").exists()

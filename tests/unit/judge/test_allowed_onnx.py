"""What reaches a runtime is ONNX with standard operators in one file; other things are one line each."""

import numpy as np
import onnx
import pytest
from judged import refused
from onnx import TensorProto, helper, numpy_helper
from onnx_models import write_model

from ml.core.errors import GateBlocked
from ml.judge import allowed_onnx
from ml.judge.allowed_onnx import check_onnx

WEIGHTS = np.ones((13, 4), "float32")
BODY = helper.make_graph([helper.make_node("Phone", [], ["x"], domain="com.example")], "body", [], [])


@pytest.fixture
def path(tmp_path):
    return write_model(tmp_path / "model.onnx", WEIGHTS, {"labels": ["A"]})


def change(path, *changes) -> None:
    model = onnx.load(path)
    for each in changes:
        each(model)
    path.write_bytes(model.SerializeToString())


def blocked(message, path) -> None:
    assert refused(GateBlocked, message, check_onnx, path).startswith("model.onnx ")


def node(operator, *inputs, **options):
    made = helper.make_node(operator, ["features", *inputs], ["x"], **options)
    return lambda model: model.graph.node.append(made)


def external(tensor):
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def disguised(model):
    """A subgraph that says that it is a number."""
    node("Relu", body=BODY)(model)
    model.graph.node[-1].attribute[0].type = onnx.AttributeProto.INT


OPSET = helper.make_opsetid("com.example", 1)
FUNCTION = helper.make_function("local", "Relu", ["x"], ["y"], [], [OPSET])
CONSTANT = external(numpy_helper.from_array(WEIGHTS, "constant"))
NUMBERS = (numpy_helper.from_array(one, "x") for one in (np.float32([1]), np.int64([0])))
SPARSE = helper.make_sparse_tensor(*NUMBERS, [5])


def test_a_matrix_and_a_softmax_are_allowed_and_what_tf2onnx_names_and_a_dropout_that_does_not_train(path):
    change(
        path, lambda model: model.opset_import.add(domain="ai.onnx.ml", version=2), node("Dropout", "ratio")
    )
    check_onnx(path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (node("Scaler", domain="ai.onnx.ml"), "uses the operator ai.onnx.ml.Scaler"),
        (node("Relu", domain="com.example"), "the operator com.example.Relu, which the judge does not run"),
        (lambda model: model.opset_import.append(OPSET), "onnx uses operators of 'com.example', which"),
        *((node(name), f"uses the operator {name},") for name in ("Loop", "RandomNormal", "StringConcat")),
        (node("Dropout", "ratio", "training"), "Dropout"),
        (node("Relu", body=BODY), "gives the operator Relu a graph"),
        (disguised, "gives the operator Relu a graph"),
        (lambda model: model.functions.append(FUNCTION), "defines the function 'Relu'"),
        (lambda model: external(model.graph.initializer[0]), "keeps the weights 'weights' in another file"),
        (node("Constant", value=CONSTANT), "keeps the weights 'constant' in another file"),
        (lambda model: model.graph.sparse_initializer.append(SPARSE), "sparse"),
        (lambda model: model.training_info.add(), "training"),
        (lambda model: model.graph.ClearField("node"), "is not an ONNX model: it has no operators"),
        # OpenVINO looks for XML in all of the file, and runs any operator of its own that is there.
        (lambda model: setattr(model, "producer_name", "x" * 5000 + "\n<net\nname='x'/>"), "is not an ONNX"),
    ],
)
def test_what_no_such_model_needs_is_named(path, changed, message):
    change(path, changed)
    blocked(message, path)


def other_order(data: bytes) -> bytes:
    """Protobuf takes fields in any order, and OpenVINO guesses formats by their beginning."""
    model = onnx.load_from_string(data)
    version = onnx.ModelProto(ir_version=model.ir_version)
    model.ClearField("ir_version")
    return model.SerializeToString() + version.SerializeToString()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda _: b"", "is not an ONNX model"),
        (lambda _: b"\x08\x0a" + b"text " * 9, "is not an ONNX model"),
        (lambda data: data[:4] + b"ORTM" + data[8:], "is not an ONNX model"),
        (other_order, "is not an ONNX model"),
        # Field 500, a text of two bytes.
        (lambda data: data + b"\xa2\x1f\x02hi", "fields that ONNX does not know"),
    ],
)
def test_bytes_that_are_no_such_file_are_refused(path, changed, message):
    path.write_bytes(changed(path.read_bytes()))
    blocked(message, path)


def test_too_large_a_file_is_not_even_read_and_too_many_operators_are_refused(path, monkeypatch):
    monkeypatch.setattr(allowed_onnx, "MOST_NODES", 1)
    blocked("has 2 operators, and 1 are allowed", path)
    monkeypatch.setattr(allowed_onnx, "LARGEST_MODEL", 100)
    monkeypatch.setattr("pathlib.Path.read_bytes", lambda _: pytest.fail("was read"))
    blocked(f"has {path.stat().st_size:,} bytes, and 100 are allowed", path)

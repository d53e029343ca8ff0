"""What reaches a runtime is ONNX with standard operators in one file; other things are one line each."""

import numpy as np
import onnx
import pytest
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


def refused(path) -> str:
    with pytest.raises(GateBlocked) as caught:
        check_onnx(path)
    line = str(caught.value)
    assert line.startswith("model.onnx ")
    assert "\n" not in line
    return line


def node(operator, *inputs, **options):
    made = helper.make_node(operator, ["features", *inputs], ["x"], **options)
    return lambda model: model.graph.node.append(made)


def opset(domain, version):
    return lambda model: model.opset_import.append(helper.make_opsetid(domain, version))


def external(tensor):
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def disguised(model):
    """A subgraph that says that it is a number."""
    node("Relu", body=BODY)(model)
    model.graph.node[-1].attribute[0].type = onnx.AttributeProto.INT


def sparse(model):
    values, indices = (
        numpy_helper.from_array(np.array(one), "x") for one in (np.float32([1]), np.int64([0]))
    )
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [5]))


def function(model):
    model.functions.append(
        helper.make_function("local", "Relu", ["x"], ["y"], [], [helper.make_opsetid("", 18)])
    )


CONSTANT = external(numpy_helper.from_array(WEIGHTS, "constant"))
# OpenVINO looks for XML in all of the file, and runs any operator of its own that it finds there.
XML = '<net version="11">', "x" * 5000 + '\n<net\nname="x" version = "11" />'


def test_a_matrix_and_a_softmax_are_allowed_and_what_tf2onnx_names_and_a_dropout_that_does_not_train(path):
    change(path, opset("ai.onnx.ml", 2), node("Dropout", "ratio"))
    check_onnx(path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (node("Scaler", domain="ai.onnx.ml"), "uses the operator ai.onnx.ml.Scaler"),
        (node("Phone", domain="com.example"), "the operator com.example.Phone, which the judge does not run"),
        (opset("com.example", 1), "'com.example'"),
        *((node(name), f"uses the operator {name},") for name in ("If", "Loop", "Scan", "RandomNormal")),
        *((node(name), f"uses the operator {name},") for name in ("StringConcat", "ImageDecoder")),
        (node("Dropout", "ratio", "training"), "Dropout"),
        (node("Relu", body=BODY), "gives the operator Relu a graph"),
        (disguised, "gives the operator Relu a graph"),
        (function, "defines the function 'Relu'"),
        (lambda model: external(model.graph.initializer[0]), "keeps the weights 'weights' in another file"),
        (node("Constant", value=CONSTANT), "keeps the weights 'constant' in another file"),
        (sparse, "sparse"),
        (lambda model: model.training_info.add(), "training"),
        (lambda model: model.graph.ClearField("node"), "is not an ONNX model"),
    ],
)
def test_what_no_such_model_needs_is_named(path, changed, message):
    change(path, changed)
    assert message in refused(path)


@pytest.mark.parametrize("text", XML)
def test_a_file_that_openvino_reads_as_its_own_format_is_refused(path, text):
    change(path, lambda model: setattr(model, "producer_name", text))
    assert "is not an ONNX model" in refused(path)


def other_order(data: bytes) -> bytes:
    """Protobuf takes fields in any order, and OpenVINO guesses formats by their beginning."""
    model = onnx.load_from_string(data)
    version = onnx.ModelProto(ir_version=model.ir_version)
    model.ClearField("ir_version")
    return model.SerializeToString() + version.SerializeToString()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        *((lambda _, text=text: text, "is not an ONNX model") for text in (b"", b"import os\n",
         b"\x08\x0a" + b"text " * 9)),
        (lambda data: data[:4] + b"ORTM" + data[8:], "is not an ONNX model"),
        (other_order, "is not an ONNX model"),
        # Field 500, a text of two bytes.
        (lambda data: data + b"\xa2\x1f\x02hi", "fields that ONNX does not know"),
    ],
)  # fmt: skip
def test_bytes_that_are_no_such_file_are_refused(path, changed, message):
    path.write_bytes(changed(path.read_bytes()))
    assert message in refused(path)


def test_too_large_a_file_is_not_even_read_and_too_many_operators_are_refused(path, monkeypatch):
    monkeypatch.setattr(allowed_onnx, "MOST_NODES", 1)
    assert "has 2 operators, and 1 are allowed" in refused(path)
    monkeypatch.setattr(allowed_onnx, "LARGEST_MODEL", 100)
    monkeypatch.setattr("pathlib.Path.read_bytes", lambda _: pytest.fail("was read"))
    assert f"has {path.stat().st_size:,} bytes, and 100 are allowed" in refused(path)

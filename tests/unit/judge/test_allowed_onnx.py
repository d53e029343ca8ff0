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


@pytest.fixture
def path(tmp_path):
    return write_model(tmp_path / "model.onnx", WEIGHTS, {"labels": ["A"]})


def changed(path, change) -> None:
    model = onnx.load(path)
    change(model)
    path.write_bytes(model.SerializeToString())


def refused(path) -> str:
    with pytest.raises(GateBlocked) as caught:
        check_onnx(path)
    line = str(caught.value)
    assert line.startswith("model.onnx ")
    assert "\n" not in line
    return line


def test_a_matrix_and_a_softmax_are_allowed(path):
    check_onnx(path)


def test_what_tf2onnx_always_names_is_allowed_and_a_node_of_it_is_not(path):
    changed(path, lambda model: model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 2)))
    check_onnx(path)
    node = helper.make_node("Scaler", ["features"], ["scaled"], domain="ai.onnx.ml")
    changed(path, lambda model: model.graph.node.append(node))
    assert "uses the operator ai.onnx.ml.Scaler" in refused(path)


@pytest.mark.parametrize("data", [b"", b"import os\n", b"#!/bin/sh\nrm -rf /\n", b"\x08\x0a" + b"text " * 9])
def test_text_is_no_model(path, data):
    path.write_bytes(data)
    assert "is not an ONNX model" in refused(path)


def test_a_model_without_operators_is_none(path):
    changed(path, lambda model: model.graph.ClearField("node"))
    assert "is not an ONNX model" in refused(path)


def test_a_file_that_onnxruntime_reads_as_its_own_format_is_refused(path):
    data = path.read_bytes()
    path.write_bytes(data[:4] + b"ORTM" + data[8:])
    assert "is not an ONNX model" in refused(path)


def test_a_file_that_begins_otherwise_than_onnx_is_refused(path):
    """Protobuf takes fields in any order, and OpenVINO guesses formats by their beginning."""
    model = onnx.load(path)
    version, rest = onnx.ModelProto(ir_version=model.ir_version), onnx.ModelProto()
    rest.CopyFrom(model)
    rest.ClearField("ir_version")
    path.write_bytes(rest.SerializeToString() + version.SerializeToString())
    assert onnx.load(path) == model
    assert "is not an ONNX model" in refused(path)


@pytest.mark.parametrize("text", ['<net version="11">', "x" * 5000 + '\n<net\nname="x" version = "11" />'])
def test_a_file_that_openvino_reads_as_its_own_format_is_refused(path, text):
    """OpenVINO looks for XML in all of the file, and runs any operator of its own that it finds there."""
    changed(path, lambda model: setattr(model, "producer_name", text))
    assert "is not an ONNX model" in refused(path)


def test_a_dropout_that_may_draw_at_random_is_refused(path):
    node = helper.make_node("Dropout", ["features", "ratio"], ["dropped"])
    changed(path, lambda model: model.graph.node.append(node))
    check_onnx(path)
    changed(path, lambda model: model.graph.node[-1].input.append("training"))
    assert "Dropout" in refused(path)


def test_a_custom_operator_is_named(path):
    node = helper.make_node("Phone", ["features"], ["home"], domain="com.example")
    changed(path, lambda model: model.graph.node.append(node))
    assert "uses the operator com.example.Phone, which the judge does not run" in refused(path)


def test_a_custom_operator_set_is_refused_even_if_nothing_uses_it(path):
    changed(path, lambda model: model.opset_import.append(helper.make_opsetid("com.example", 1)))
    assert "'com.example'" in refused(path)


@pytest.mark.parametrize("operator", ["If", "Loop", "Scan", "RandomNormal", "StringConcat", "ImageDecoder"])
def test_an_operator_that_no_such_model_needs_is_named(path, operator):
    changed(path, lambda model: model.graph.node.append(helper.make_node(operator, ["features"], ["x"])))
    assert f"uses the operator {operator}," in refused(path)


def test_a_subgraph_in_an_allowed_operator_is_refused(path):
    body = helper.make_graph([helper.make_node("Phone", [], ["x"], domain="com.example")], "body", [], [])
    node = helper.make_node("Relu", ["features"], ["x"], body=body)
    changed(path, lambda model: model.graph.node.append(node))
    assert "gives the operator Relu a graph" in refused(path)


def test_a_subgraph_that_says_that_it_is_a_number_is_refused(path):
    node = helper.make_node("Relu", ["features"], ["x"], body=helper.make_graph([], "body", [], []))
    node.attribute[0].type = onnx.AttributeProto.INT
    changed(path, lambda model: model.graph.node.append(node))
    assert "gives the operator Relu a graph" in refused(path)


def test_a_function_is_refused(path):
    function = helper.make_function("local", "Relu", ["x"], ["y"], [], [helper.make_opsetid("", 18)])
    changed(path, lambda model: model.functions.append(function))
    assert "defines the function 'Relu'" in refused(path)


def external(tensor):
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def test_weights_in_another_file_are_refused(path):
    changed(path, lambda model: external(model.graph.initializer[0]))
    assert "keeps the weights 'weights' in another file" in refused(path)


def test_a_constant_in_another_file_is_refused(path):
    tensor = numpy_helper.from_array(WEIGHTS, "constant")
    external(tensor)
    node = helper.make_node("Constant", [], ["x"], value=tensor)
    changed(path, lambda model: model.graph.node.append(node))
    assert "keeps the weights 'constant' in another file" in refused(path)


def test_sparse_weights_are_refused(path):
    values, indices = (
        numpy_helper.from_array(np.array(one), "sparse") for one in (np.float32([1]), np.int64([0]))
    )
    sparse = helper.make_sparse_tensor(values, indices, [5])
    changed(path, lambda model: model.graph.sparse_initializer.append(sparse))
    assert "sparse" in refused(path)


def test_a_training_graph_is_refused(path):
    changed(path, lambda model: model.training_info.add())
    assert "training" in refused(path)


def test_fields_that_onnx_does_not_know_are_refused(path):
    # Field 500, a text of two bytes.
    path.write_bytes(path.read_bytes() + b"\xa2\x1f\x02hi")
    assert "fields that ONNX does not know" in refused(path)


def test_too_large_a_file_is_not_even_read(path, monkeypatch):
    monkeypatch.setattr(allowed_onnx, "LARGEST_MODEL", 100)
    monkeypatch.setattr("pathlib.Path.read_bytes", lambda _: pytest.fail("was read"))
    assert f"has {path.stat().st_size:,} bytes, and 100 are allowed" in refused(path)


def test_too_many_operators_are_refused(path, monkeypatch):
    monkeypatch.setattr(allowed_onnx, "MOST_NODES", 1)
    assert "has 2 operators, and 1 are allowed" in refused(path)

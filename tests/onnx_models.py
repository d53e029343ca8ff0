"""Tiny ONNX models, as a champion may be: a matrix and a softmax, with the metadata that is asked for."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper


def softmax(logits: np.ndarray) -> np.ndarray:
    """Give the probabilities [N, K] of float32 logits, as the models below do."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def write_model(
    path: Path,
    weights: np.ndarray,
    metadata: dict[str, Any],
    nodes: Sequence[onnx.NodeProto] | None = None,
    inputs: Sequence[str] = ("features",),
    outputs: Sequence[str] = ("probabilities",),
) -> Path:
    """Write a model from features [N, F] to probabilities [N, K].

    It is a product with weights [F, K] and a softmax, or other nodes. Metadata is text, or becomes JSON.
    """
    nodes = nodes or [
        helper.make_node("MatMul", [inputs[0], "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], [outputs[0]], axis=1),
    ]
    graph = helper.make_graph(
        list(nodes),
        "champion",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", len(weights)]) for name in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [onnx.numpy_helper.from_array(weights.astype("float32"), "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}
    helper.set_model_props(model, texts)
    path.write_bytes(model.SerializeToString())
    return path

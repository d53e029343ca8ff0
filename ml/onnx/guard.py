"""What happens to nonsense, for solutions whose framework has no layer for it: part of the exported model.

Runtimes have their own idea of NaN and of very large numbers. So a feature beyond what the training saw
counts as the nearest value that it saw, and a row with something that no feature can be gets NaN for each
probability (`ml.problem.Solution.export`). `guard_model` puts that into an ONNX model, and `guarded` does the
same to the answers of the trained model, so that the two can be compared.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ml.problem import INPUT, LARGEST, OUTPUT

if TYPE_CHECKING:
    import onnx


def guarded(
    predict: Callable[[np.ndarray], np.ndarray], rows: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Return the answers to rows, each feature clipped, and NaN for each row that holds nonsense.

    Args:
        predict: float32 [N, F] to probabilities [N, K].
        rows: raw features, float32 [N, F].
        low: the smallest value of each feature, float32 [F].
        high: the largest.
    """
    with np.errstate(invalid="ignore"):
        sound = (np.abs(rows) <= LARGEST).all(axis=1, keepdims=True)
    answers = predict(np.clip(np.where(sound, rows, low), low, high).astype("float32"))
    return np.where(sound, answers, np.nan).astype("float32")


def guard_model(model: "onnx.ModelProto", low: np.ndarray, high: np.ndarray) -> "onnx.ModelProto":
    """Return an ONNX model that does what `guarded` does.

    Args:
        model: takes `INPUT` float32 [N, F] and gives `OUTPUT` float32 [N, K]; other outputs are left out.
        low: the smallest value of each feature, float32 [F].
        high: the largest.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from onnx.utils import Extractor

    inner = Extractor(model).extract_model([INPUT], [OUTPUT])
    for node in inner.graph.node:
        node.input[:] = ["guard_clipped" if name == INPUT else name for name in node.input]
        node.output[:] = ["guard_answers" if name == OUTPUT else name for name in node.output]
    constants = {
        "guard_low": low.astype("float32"),
        "guard_high": high.astype("float32"),
        "guard_largest": np.float32(LARGEST),
        "guard_nan": np.float32(np.nan),
        "guard_half": np.float32(0.5),
        "guard_axes": np.array([1], dtype="int64"),
    }
    before = [
        helper.make_node("Max", [INPUT, "guard_low"], ["guard_at_least"]),
        helper.make_node("Min", ["guard_at_least", "guard_high"], ["guard_clipped"]),
    ]
    after = [
        helper.make_node("Abs", [INPUT], ["guard_size"]),
        # NaN is not below anything, so it fails the comparison like what is too large.
        helper.make_node("LessOrEqual", ["guard_size", "guard_largest"], ["guard_sound"]),
        helper.make_node("Cast", ["guard_sound"], ["guard_share"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMin", ["guard_share", "guard_axes"], ["guard_all"], keepdims=1),
        helper.make_node("Greater", ["guard_all", "guard_half"], ["guard_answered"]),
        helper.make_node("Where", ["guard_answered", "guard_answers", "guard_nan"], [OUTPUT]),
    ]
    nodes = [*before, *inner.graph.node, *after]
    del inner.graph.node[:]
    inner.graph.node.extend(nodes)
    inner.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()
    )
    del inner.graph.value_info[:]
    onnx.checker.check_model(inner)
    return inner

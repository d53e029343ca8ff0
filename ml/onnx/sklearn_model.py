"""Classifiers of scikit-learn as models: kept in a file without pickles, asked, exported in standard ONNX.

A feature beyond what the training saw counts as the nearest value that it saw (`ml.onnx.guard`).
"""

from pathlib import Path
from typing import Any

import numpy as np

from ml.core.files import write_bytes
from ml.onnx.guard import guard_model, guarded
from ml.problem import INPUT

OPSET = 18

NOT_STANDARD = frozenset(("LinearClassifier", "Scaler", "Normalizer"))
"""Operators of ONNX-ML that skl2onnx can do without; OpenVINO has none of them, and the judge allows none."""


def save_classifier(classifier: Any, features: np.ndarray, model: Path) -> None:
    """Write a fitted classifier, or pipeline that ends with one, and the range of each feature.

    Args:
        classifier: has ``predict_proba``.
        features: the training features, float32 [N, F].
        model: the file to write, in the format of skops.
    """
    import skops.io

    parts = {"classifier": classifier, "low": features.min(axis=0), "high": features.max(axis=0)}
    write_bytes(model, skops.io.dumps(parts))


def _load(model: Path) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return classifier, smallest and largest values.

    Raises:
        ValueError: the file holds something else than scikit-learn's own classes.
    """
    import skops.io

    data = model.read_bytes()
    unknown = skops.io.get_untrusted_types(data=data)
    if strange := [name for name in unknown if not name.startswith("sklearn.")]:
        raise ValueError(f"{model.name} holds {strange[0]}, which is not of scikit-learn")
    parts = skops.io.loads(data, trusted=unknown)
    return parts["classifier"], parts["low"], parts["high"]


def ask_classifier(model: Path, features: np.ndarray) -> np.ndarray:
    """Return a classifier's probabilities, float32 [N, F] to float32 [N, K], NaN for rows of nonsense."""
    classifier, low, high = _load(model)
    return guarded(classifier.predict_proba, features, low, high)


def export_classifier(model: Path, onnx_model: Path) -> None:
    """Write a classifier as ONNX, guarded.

    Raises:
        Exception: skl2onnx has no converter for it, or none in standard operators.
    """
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    classifier, low, high = _load(model)
    exported = to_onnx(
        classifier,
        initial_types=[(INPUT, FloatTensorType([None, len(low)]))],
        options={"zipmap": False},
        target_opset={"": OPSET, "ai.onnx.ml": 3},
        black_op=set(NOT_STANDARD),
    )
    write_bytes(onnx_model, guard_model(exported, low, high).SerializeToString(deterministic=True))

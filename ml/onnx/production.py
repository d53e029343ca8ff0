"""Load the champion's ONNX model, which another commit may have made, and have it answer.

It runs in onnxruntime on the CPU, in one thread. What it takes and gives is known from its metadata alone.
Nothing is taken for granted: whatever is not as it should be makes it incomparable, with the reason.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ml.measure.champion import Champion, Incomparable, checked_probabilities

if TYPE_CHECKING:
    import onnxruntime


def ask_champion(path: str | Path, names: Sequence[str], features: np.ndarray) -> Champion:
    """Ask a champion's ONNX model about examples.

    Args:
        path: the ONNX file; its metadata holds ``features`` and ``labels``, as JSON lists.
        names: the names of our features.
        features: raw features in their order, float32 [N, F].

    Raises:
        Incomparable: the model does not load, has several inputs or outputs, lacks its metadata, takes
            features that we do not have, or gives something else than probabilities of its labels.
    """
    session = _load(Path(path).read_bytes())
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        raise Incomparable(f"its model has {len(inputs)} inputs and {len(outputs)} outputs, not one of each")
    metadata = session.get_modelmeta().custom_metadata_map
    wanted, labels = _names(metadata, "features"), _names(metadata, "labels")
    rows = _chosen(wanted, names, features)
    try:
        (answer,) = session.run([outputs[0].name], {inputs[0].name: rows})
    except Exception as error:
        raise Incomparable(f"its model does not run on the test examples: {_line(error)}") from error
    return Champion(wanted, labels, checked_probabilities(np.asarray(answer), len(rows), len(labels)))


def _load(model: bytes) -> "onnxruntime.InferenceSession":
    import onnxruntime

    if not model:
        raise Incomparable("its model is empty")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # onnxruntime has an exception for each of its error codes; here they all mean the same.
        raise Incomparable(f"its model does not load: {_line(error)}") from error


def _names(metadata: dict[str, str], key: str) -> list[str]:
    """Read a list of names from a model's metadata."""
    try:
        names = json.loads(metadata[key])
    except KeyError as error:
        raise Incomparable(f"its model's metadata has no {key}") from error
    except (ValueError, RecursionError) as error:
        raise Incomparable(f"its model's metadata has {key} that are not JSON") from error
    right = isinstance(names, list) and names and all(isinstance(name, str) for name in names)
    if not right or len(set(names)) != len(names):
        raise Incomparable(f"its model's metadata has {key} that are no list of different names")
    return list(names)


def _chosen(wanted: list[str], names: Sequence[str], features: np.ndarray) -> np.ndarray:
    """Return the features that a champion takes, in its order."""
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise Incomparable(f"it takes features that the test examples do not have: {', '.join(unknown)}")
    return np.ascontiguousarray(features[:, [names.index(name) for name in wanted]])


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]

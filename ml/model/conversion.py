"""Convert the Keras model to ONNX, and write down what Keras answers for others to compare with.

The reference (the inputs of every family of `input_families` with Keras's own probabilities) is made
where TensorFlow is loaded anyway: whoever checks a runtime against it later needs no TensorFlow.
"""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ml.data.columns import FEATURES
from ml.data.splits import read_examples, read_labels
from ml.files import file_digest, whole_file, write_bytes
from ml.model.backend import load_keras
from ml.model.network import INPUT, OUTPUT
from ml.model.training import answer

OPSET = 18


def convert(
    model: str | Path,
    test_split: str | Path,
    labels: str | Path,
    onnx_model: str | Path,
    reference: str | Path,
    lineage: dict[str, str],
) -> str:
    """Write the ONNX model and Keras's reference answers, and say how large the model is.

    The ONNX model takes ``features`` float32 [N, 13], raw values, and gives ``probabilities`` float32
    [N, K]. Its ``metadata_props`` hold ``features``, ``labels`` (JSON lists, in order) and the lineage.

    Args:
        model: the ``.keras`` file.
        test_split: parquet file of `ml.data.splits`.
        labels: ``labels.json``.
        onnx_model: the file to write.
        reference: the parquet file to write: family, features [13], probabilities [K].
        lineage: what else goes into the metadata, as name and text.

    Raises:
        onnx.checker.ValidationError: the converted model is not valid ONNX.
    """
    keras = load_keras()
    import onnx
    import tensorflow as tf
    import tf2onnx

    network = keras.saving.load_model(model, compile=False)
    network.output_names = [OUTPUT]
    signature = [tf.TensorSpec([None, len(FEATURES)], tf.float32, name=INPUT)]
    proto, _ = tf2onnx.convert.from_keras(network, signature, opset=OPSET)
    metadata = {
        "features": json.dumps(list(FEATURES)),
        "labels": json.dumps(read_labels(labels)),
        **lineage,
    }
    onnx.helper.set_model_props(proto, dict(sorted(metadata.items())))
    onnx.checker.check_model(proto, full_check=True)
    data = proto.SerializeToString(deterministic=True)
    write_bytes(onnx_model, data)

    families = input_families(read_examples(test_split).features)
    rows = np.concatenate(list(families.values()))
    answers = answer(network, rows)
    names = [name for name, family in families.items() for _ in range(len(family))]
    table = pa.table({"family": names, "features": _lists(rows), "probabilities": _lists(answers)})
    source = {"keras_digest": file_digest(model), "test_digest": file_digest(test_split)}
    with whole_file(reference) as file:
        pq.write_table(table.replace_schema_metadata(source), file)
    return f"opset {OPSET}, {len(data):,} bytes, {len(rows):,} reference answers"


def _lists(rows: np.ndarray) -> pa.FixedSizeListArray:
    """Return rows [N, K] as an Arrow column of lists, without pandas, which pa.array would import."""
    buffer = pa.py_buffer(np.ascontiguousarray(rows))
    flat = pa.Array.from_buffers(pa.float32(), rows.size, [None, buffer])
    return pa.FixedSizeListArray.from_arrays(flat, rows.shape[1])


def input_families(features: np.ndarray) -> dict[str, np.ndarray]:
    """Return the inputs on which runtimes are compared, by family, each float32 [N, 13].

    ``test`` is the whole test split; ``extremes`` puts each feature at its smallest and largest value,
    the others at their median; ``out_of_range`` goes a tenth of the range beyond; ``zeros`` is one row.

    Args:
        features: raw features of the test split, float32 [N, 13].
    """
    low, high = features.min(axis=0), features.max(axis=0)
    beyond = 0.1 * (high - low)
    middle = np.median(features, axis=0).astype("float32")

    def one_at_a_time(values: np.ndarray) -> np.ndarray:
        rows = np.tile(middle, (len(middle), 1))
        np.fill_diagonal(rows, values)
        return rows

    return {
        "test": features,
        "extremes": np.concatenate([one_at_a_time(low), one_at_a_time(high)]),
        "zeros": np.zeros((1, features.shape[1]), dtype="float32"),
        "out_of_range": np.concatenate([one_at_a_time(low - beyond), one_at_a_time(high + beyond)]),
    }

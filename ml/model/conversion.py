"""Convert the Keras model to ONNX, and write down what Keras answers for others to compare with.

The reference (the inputs of every family of `ml.model.inputs` with Keras's own probabilities) is made
where TensorFlow is loaded anyway: whoever checks a runtime against it later needs no TensorFlow.
"""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ml.core.files import file_digest, whole_file, write_bytes, write_json
from ml.data.columns import FEATURES
from ml.data.splits import read_examples, read_labels
from ml.model.backend import load_keras
from ml.model.inputs import input_families
from ml.model.network import INPUT, OUTPUT
from ml.model.runtimes import AS_SERVED
from ml.model.training import answer

OPSET = 18


def convert(
    model: str | Path,
    test_split: str | Path,
    labels: str | Path,
    onnx_model: str | Path,
    reference: str | Path,
    served: str | Path,
    lineage: dict[str, str],
) -> str:
    """Write the ONNX model, Keras's reference answers and how to serve it, and say how large it is.

    The ONNX model takes ``features`` float32 [N, 13], raw values, and gives ``probabilities`` float32
    [N, K]. Its ``metadata_props`` hold ``features``, ``labels`` (JSON lists, in order) and the lineage.

    Args:
        model: the ``.keras`` file.
        test_split: parquet file of `ml.data.splits`.
        labels: ``labels.json``.
        onnx_model: the file to write.
        reference: the parquet file to write: family, features [13], probabilities [K].
        served: the JSON file to write: how the model is to be served.
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
    write_json(served, AS_SERVED)
    return f"opset {OPSET}, {len(data):,} bytes, {len(rows):,} reference answers"


def _lists(rows: np.ndarray) -> pa.FixedSizeListArray:
    """Return rows [N, K] as an Arrow column of lists, without pandas, which pa.array would import."""
    buffer = pa.py_buffer(np.ascontiguousarray(rows))
    flat = pa.Array.from_buffers(pa.float32(), rows.size, [None, buffer])
    return pa.FixedSizeListArray.from_arrays(flat, rows.shape[1])

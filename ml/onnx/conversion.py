"""Export the trained model to ONNX, and write down what it answers for others to compare with.

The reference (the inputs of every family of `ml.onnx.inputs` with the trained model's own probabilities) is
made where that model is loaded anyway: a later check of a runtime against it needs no framework.
"""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ml.core.files import file_digest, whole_file, write_bytes, write_json
from ml.data.splits import as_lists, read_examples, read_labels
from ml.gate.candidate import NATIVE
from ml.onnx.inputs import input_families
from ml.onnx.runtimes import AS_SERVED
from ml.problem import Solution


def convert(
    solution: Solution,
    model: str | Path,
    test_split: str | Path,
    labels: str | Path,
    onnx_model: str | Path,
    reference: str | Path,
    served: str | Path,
    lineage: dict[str, str],
) -> str:
    """Write the ONNX model, the reference answers and how to serve it, and say how large it is.

    The ONNX model takes ``features`` float32 [N, F], raw values, and gives ``probabilities`` float32
    [N, K]. Its ``metadata_props`` hold ``features``, ``labels`` (JSON lists, in order), the definition and
    the lineage.

    Args:
        solution: the problem's.
        model: the file that `Solution.train` wrote.
        test_split: parquet file of `ml.data.splits`.
        labels: ``labels.json``.
        onnx_model: the file to write.
        reference: the parquet file to write: family, features [F], probabilities [K].
        served: the JSON file to write: how the model is to be served.
        lineage: what else goes into the metadata, as name and text.

    Raises:
        onnx.checker.ValidationError: the exported model is not valid ONNX.
        ValueError: the solution answers with something else than probabilities for each class.
    """
    import onnx

    solution.export(Path(model), Path(onnx_model))
    proto, named = onnx.load(str(onnx_model)), read_labels(labels)
    metadata = {
        "features": json.dumps(list(named.features)),
        "labels": json.dumps(list(named.classes)),
        "definition": named.definition,
        **lineage,
    }
    onnx.helper.set_model_props(proto, dict(sorted(metadata.items())))
    onnx.checker.check_model(proto, full_check=True)
    data = proto.SerializeToString(deterministic=True)
    write_bytes(onnx_model, data)

    families = input_families(read_examples(test_split).features)
    rows = np.concatenate(list(families.values()))
    answers = np.ascontiguousarray(solution.predict(Path(model), rows), dtype="float32")
    if answers.shape != (len(rows), len(named.classes)):
        raise ValueError(
            f"the solution predicts {answers.shape} for {len(rows)} rows of {len(named.classes)} classes"
        )
    families_of = [name for name, family in families.items() for _ in range(len(family))]
    table = pa.table({"family": families_of, "features": as_lists(rows), "probabilities": as_lists(answers)})
    source = {
        "reference": "native" if Path(NATIVE).suffix == solution.SUFFIX else "self-reported",
        "model_digest": file_digest(model),
        "test_digest": file_digest(test_split),
    }
    with whole_file(reference) as file:
        pq.write_table(table.replace_schema_metadata(source), file)
    write_json(served, AS_SERVED)
    opset = max(entry.version for entry in proto.opset_import if not entry.domain)
    return f"opset {opset}, {len(data):,} bytes, {len(rows):,} reference answers"

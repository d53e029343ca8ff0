"""Check that the ONNX model, in the runtime, computes what Keras computed.

Each family of inputs runs in batches of several sizes, and every row of every batch is compared: numbers,
the most probable country, sums, shapes, names and types. The tolerance is absolute and relative, since
near zero a difference of 7e-7 is a relative 7e-3.
"""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from ml.data.columns import FEATURES
from ml.data.splits import read_examples, read_labels
from ml.files import file_digest, write_json
from ml.gate.reports.parity import Family, Latency, OnnxMetrics, Parity
from ml.model.conversion import input_families
from ml.model.metrics import score_songs
from ml.model.network import INPUT, OUTPUT

if TYPE_CHECKING:
    import onnxruntime

ATOL, RTOL = 1e-5, 1e-3
BATCH_SIZES = (1, 7, 64)
"""Batch sizes that are compared, besides all rows at once."""

LATENCY_CALLS = 1000


def check_parity(
    onnx_model: str | Path,
    reference: str | Path,
    test_split: str | Path,
    labels: str | Path,
    report: str | Path,
) -> str:
    """Compare onnxruntime with Keras's reference answers, write the `Parity`, and say how far they are.

    Args:
        onnx_model: the ONNX file.
        reference: the reference of `ml.model.conversion.convert`.
        test_split: parquet file of `ml.data.splits`; the reference must be about just its rows.
        labels: ``labels.json``.
        report: the JSON file to write.

    Raises:
        ValueError: the reference is about other rows, or the runtime's answers have another shape.
    """
    import onnx
    import onnxruntime

    test, countries = read_examples(test_split), read_labels(labels)
    source, answers = _read_reference(reference, input_families(test.features))
    data = Path(onnx_model).read_bytes()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    families = []
    test_answers = np.empty(0)
    for name, (rows, keras) in answers.items():
        family, whole = _compare(session, name, rows, keras, countries)
        families.append(family)
        if name == "test":
            test_answers = whole
    found = Parity(
        keras_digest=source["keras_digest"],
        onnx_digest=file_digest(onnx_model),
        test_digest=file_digest(test_split),
        runtime=f"onnxruntime {onnxruntime.__version__}",
        opset=max(entry.version for entry in onnx.load_from_string(data).opset_import if not entry.domain),
        atol=ATOL,
        rtol=RTOL,
        interface_problems=tuple(interface_problems(session, countries)),
        families=tuple(families),
        onnx=OnnxMetrics(**score_songs(test_answers, test.counts).points()),
        model_bytes=len(data),
        latency=_latency(session, test.features),
    )
    write_json(report, found)
    worst = max(families, key=lambda family: family.worst_ratio)
    return (
        f"{sum(family.rows for family in families):,} rows in {len(families)} families, largest difference "
        f"{max(family.max_difference for family in families):.1e}, {worst.worst_ratio:.2g} of the tolerance"
    )


def _read_reference(
    path: str | Path, inputs: dict[str, np.ndarray]
) -> tuple[dict[str, str], dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Return the reference's source, and by family its inputs and Keras's answers."""
    with pq.ParquetFile(path) as file:
        table = file.read(use_threads=False)
    names = np.array(table["family"].to_pylist())
    features, answers = (
        np.from_dlpack(table[name].combine_chunks().flatten()).reshape(len(names), -1)
        for name in ("features", "probabilities")
    )
    if list(dict.fromkeys(names)) != list(inputs) or not np.array_equal(
        features, np.concatenate(list(inputs.values()))
    ):
        raise ValueError("the reference answers are about other rows than this test split's")
    source = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    return source, {name: (rows, answers[names == name]) for name, rows in inputs.items()}


def interface_problems(session: "onnxruntime.InferenceSession", countries: list[str]) -> list[str]:
    """List what a client of the served model would trip over: names, types, shapes, metadata."""
    inputs = [(entry.name, entry.type, entry.shape[1:]) for entry in session.get_inputs()]
    outputs = [(entry.name, entry.type, entry.shape[1:]) for entry in session.get_outputs()]
    metadata = session.get_modelmeta().custom_metadata_map
    expected = {
        "inputs": (inputs, [(INPUT, "tensor(float)", [len(FEATURES)])]),
        "outputs": (outputs, [(OUTPUT, "tensor(float)", [len(countries)])]),
        "metadata features": (json.loads(metadata.get("features", "null")), list(FEATURES)),
        "metadata labels": (json.loads(metadata.get("labels", "null")), countries),
    }
    return [
        f"{name}: {found} instead of {wanted}"
        for name, (found, wanted) in expected.items()
        if found != wanted
    ]


def _run(session: "onnxruntime.InferenceSession", rows: np.ndarray, size: int) -> np.ndarray:
    batches = [rows[start : start + size] for start in range(0, len(rows), size)]
    return np.concatenate([session.run([OUTPUT], {INPUT: batch})[0] for batch in batches])


def _compare(
    session: "onnxruntime.InferenceSession",
    name: str,
    rows: np.ndarray,
    keras: np.ndarray,
    countries: list[str],
) -> tuple[Family, np.ndarray]:
    """Compare one family; return the findings over all batch sizes, and the answers of the whole batch."""
    answers = {size: _run(session, rows, size) for size in (*BATCH_SIZES, len(rows))}
    for size, found in answers.items():
        if found.shape != keras.shape or found.dtype != keras.dtype:
            theirs = f"{keras.dtype} {keras.shape}"
            raise ValueError(f"{name}, batches of {size}: {found.dtype} {found.shape} for Keras's {theirs}")
    found = np.stack(list(answers.values()))
    finite = np.isfinite(found)
    tolerance = ATOL + RTOL * np.abs(keras.astype("float64"))
    # A number that is not finite is counted, and then compared as if it were off by everything.
    difference = np.abs(np.where(finite, found, np.inf).astype("float64") - keras)
    ratio = np.minimum(difference / tolerance, 1e9)
    size, row, country = np.unravel_index(ratio.argmax(), ratio.shape)
    top2 = np.sort(keras, axis=1)[:, -2:]
    close = top2[:, 1] - top2[:, 0] <= ATOL + RTOL * top2[:, 1]
    flipped = (np.where(finite, found, -1).argmax(axis=2) != keras.argmax(axis=1)).any(axis=0)
    difference = np.minimum(difference, 1e9)
    family = Family(
        name=name,
        rows=len(rows),
        batch_sizes=tuple(answers),
        max_difference=float(difference.max()),
        p99_difference=float(np.quantile(difference, 0.99)),
        worst_ratio=float(ratio.max()),
        worst_row=f"row {row}, {countries[country]}, batches of {list(answers)[size]}",
        violations=int((ratio > 1).sum()),
        top1_disagreements=int((flipped & ~close).sum()),
        top1_ties=int((flipped & close).sum()),
        nonfinite=int((~finite).sum()),
        row_sum_error=float(np.abs(np.where(finite, found, 0).sum(axis=2, dtype="float64") - 1).max()),
    )
    return family, answers[len(rows)]


def _latency(session: "onnxruntime.InferenceSession", features: np.ndarray) -> Latency:
    """Time single-row calls, after a tenth as many to warm up."""
    times = []
    for call in range(LATENCY_CALLS + LATENCY_CALLS // 10):
        row = features[call % len(features)][None]
        start = time.perf_counter()
        session.run([OUTPUT], {INPUT: row})
        times.append(1000 * (time.perf_counter() - start))
    p50, p99 = np.quantile(times[LATENCY_CALLS // 10 :], [0.5, 0.99])
    return Latency(p50_ms=float(p50), p99_ms=float(p99), calls=LATENCY_CALLS)

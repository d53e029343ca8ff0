"""Check that the ONNX model, in each runtime that may serve it, computes what Keras computed.

Each family of `ml.model.inputs` goes through each runtime of `ml.model.runtimes`; what a client would trip
over (names, types, shapes, metadata) and what an answer costs are looked at once.
"""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ml.data.columns import FEATURES
from ml.data.splits import Examples, read_examples, read_labels
from ml.files import file_digest, read_json, write_json
from ml.gate.reports.parity import SERVED, Latency, OnnxMetrics, Parity, RuntimeParity
from ml.gate.reports.served import Served
from ml.model.comparison import ATOL, RTOL, Run, compare_family, compare_layouts, compare_threads
from ml.model.inputs import input_families
from ml.model.metrics import score_songs
from ml.model.network import INPUT, OUTPUT
from ml.model.reference import read_reference
from ml.model.runtimes import Runtime, open_runtimes, open_session

if TYPE_CHECKING:
    import onnxruntime

LATENCY_CALLS = 1000

Answers = dict[str, tuple[np.ndarray, np.ndarray]]
"""By family: inputs float32 [N, 13] and Keras's answers float32 [N, K]."""


def check_parity(
    onnx_model: str | Path,
    reference: str | Path,
    test_split: str | Path,
    labels: str | Path,
    served: str | Path,
    report: str | Path,
) -> str:
    """Compare the runtimes with Keras's reference answers, write the `Parity`, and say how far they are.

    Args:
        onnx_model: the ONNX file.
        reference: the reference of `ml.model.conversion.convert`.
        test_split: parquet file of `ml.data.splits`; the reference must be about just its rows.
        labels: ``labels.json``.
        served: ``served.json``.
        report: the JSON file to write.

    Raises:
        ValueError: the reference is about other rows, or a runtime's answers have another shape.
    """
    import onnx

    test, countries = read_examples(test_split), read_labels(labels)
    source, answers = _read_reference(reference, input_families(test.features))
    configuration = Served.load(read_json(served))
    data = Path(onnx_model).read_bytes()
    runtimes = open_runtimes(data, configuration)
    found = Parity(
        keras_digest=source["keras_digest"],
        onnx_digest=file_digest(onnx_model),
        test_digest=file_digest(test_split),
        served=configuration,
        opset=max(entry.version for entry in onnx.load_from_string(data).opset_import if not entry.domain),
        atol=ATOL,
        rtol=RTOL,
        interface_problems=tuple(interface_problems(open_session(data), countries)),
        runtimes=tuple(measure(runtime, answers, test, countries) for runtime in runtimes),
        model_bytes=len(data),
        latency=_latency(next(r.run for r in runtimes if r.name == SERVED), test.features),
    )
    write_json(report, found)
    return ", ".join(
        f"{runtime.name} ({runtime.engine}, {runtime.precision}) "
        f"{max(family.worst_ratio for family in runtime.families):.2g}"
        for runtime in found.runtimes
    ) + (f" of the tolerance, {sum(len(rows) for rows, _ in answers.values()):,} rows")


def measure(runtime: Runtime, answers: Answers, test: Examples, countries: list[str]) -> RuntimeParity:
    """Measure one runtime against Keras's answers.

    Raises:
        ValueError: its answers have another shape or type, or those to the test songs are not numbers.
    """
    return RuntimeParity(
        name=runtime.name,
        engine=runtime.engine,
        version=runtime.version,
        precision=runtime.precision,
        settings=runtime.settings,
        families=tuple(
            compare_family(runtime.run, name, rows, keras, countries)
            for name, (rows, keras) in answers.items()
        ),
        layouts=compare_layouts(runtime.run, test.features),
        threads=compare_threads(runtime.run, test.features),
        metrics=OnnxMetrics(**score_songs(runtime.run(test.features), test.counts).points()),
    )


def _read_reference(path: str | Path, inputs: dict[str, np.ndarray]) -> tuple[dict[str, str], Answers]:
    """Return the reference's source, and by family its inputs and Keras's answers."""
    found = read_reference(path)
    expected = np.concatenate(list(inputs.values()))
    same = np.array_equal(found.features, expected, equal_nan=True)
    if list(dict.fromkeys(found.families)) != list(inputs) or not same:
        raise ValueError("the reference answers are about other rows than this test split's")
    return found.source, {
        name: (rows, found.answers[found.families == name]) for name, rows in inputs.items()
    }


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


def _latency(run: Run, features: np.ndarray) -> Latency:
    """Time single-row calls, after a tenth as many to warm up."""
    times = []
    for call in range(LATENCY_CALLS + LATENCY_CALLS // 10):
        row = features[call % len(features)][None]
        start = time.perf_counter()
        run(row)
        times.append(1000 * (time.perf_counter() - start))
    p50, p99 = np.quantile(times[LATENCY_CALLS // 10 :], [0.5, 0.99])
    return Latency(p50_ms=float(p50), p99_ms=float(p99), calls=LATENCY_CALLS)

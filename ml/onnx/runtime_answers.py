"""Ask the ONNX model, in each runtime that may serve it: answers to every family, and how it behaves.

Nothing here knows labels; `ml.onnx.parity` compares what comes out.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from pydantic import Field

from ml.core.records import Count, Record, Text
from ml.gate.subjects.parity import SERVED, Latency, Layouts, Threads
from ml.onnx.runtime_comparison import Run, answer_family, compare_layouts, compare_threads
from ml.onnx.runtimes import Runtime, open_session

LATENCY_CALLS = 1000

EXAMPLES = "test"
"""The family that is the test examples themselves."""

Inputs = Mapping[str, np.ndarray]
"""By family: raw features, float32 [N, F]."""

RuntimeAnswers = dict[str, dict[int, np.ndarray]]
"""A runtime's answers by family and batch size, of `ml.onnx.runtime_comparison.answer_family`."""


class Tensor(Record):
    """An input or output of a model: its name, ONNX type, and shape without the batch dimension."""

    name: str
    type: str
    shape: tuple[int | str | None, ...]


class ModelFacts(Record):
    """What the ONNX model and the runtime it is served in say of themselves, and what an answer costs."""

    opset: Count
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    metadata: dict[str, str] = Field(max_length=100)
    model_bytes: Count
    latency: Latency


class RuntimeFacts(Record):
    """What a runtime is, and how it behaves: the part of `RuntimeParity` that no answers are needed for."""

    name: Text
    engine: Text
    version: Text
    precision: Text
    settings: dict[Text, Text]
    layouts: Layouts
    threads: Threads


def ask_model(model: bytes, runtimes: Iterable[Runtime], features: np.ndarray) -> ModelFacts:
    """Return what a client sees of the ONNX model, and how long the served runtime takes for an example.

    Args:
        model: the ONNX file's bytes.
        runtimes: as `open_runtimes` opens them.
        features: raw features of examples, float32 [N, F].
    """
    import onnx

    session = open_session(model)
    return ModelFacts(
        opset=max(entry.version for entry in onnx.load_from_string(model).opset_import if not entry.domain),
        inputs=tuple(_tensor(entry) for entry in session.get_inputs()),
        outputs=tuple(_tensor(entry) for entry in session.get_outputs()),
        metadata=dict(session.get_modelmeta().custom_metadata_map),
        model_bytes=len(model),
        latency=_latency(next(runtime.run for runtime in runtimes if runtime.name == SERVED), features),
    )


def _tensor(entry: Any) -> Tensor:
    return Tensor(name=entry.name, type=entry.type, shape=tuple(entry.shape[1:]))


def ask_runtime(runtime: Runtime, inputs: Inputs) -> tuple[RuntimeFacts, RuntimeAnswers]:
    """Return how a runtime behaves, and its answers to every family in every batch size."""
    examples = inputs[EXAMPLES]
    facts = RuntimeFacts(
        name=runtime.name,
        engine=runtime.engine,
        version=runtime.version,
        precision=runtime.precision,
        settings=runtime.settings,
        layouts=compare_layouts(runtime.run, examples),
        threads=compare_threads(runtime.run, examples),
    )
    return facts, {name: answer_family(runtime.run, rows) for name, rows in inputs.items()}


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

"""Check that the ONNX model, in each runtime that may serve it, computes what Keras computed.

Each family of `ml.model.inputs` goes through each runtime of `ml.model.runtimes`; what a client would trip
over (names, types, shapes, metadata) and what an answer costs are looked at once. Asking the runtimes and
comparing what they answered are separate functions: whoever asks needs no labels, and whoever compares no
model.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ml.core.files import file_digest, read_json, write_json
from ml.data.columns import FEATURES
from ml.data.splits import read_examples, read_labels
from ml.gate.served import Served
from ml.gate.subjects.parity import OnnxMetrics, Parity, RuntimeParity
from ml.model.inputs import input_families
from ml.model.metrics import score_songs
from ml.model.network import INPUT, OUTPUT
from ml.model.reference import read_reference
from ml.model.runtime_answers import (
    SONGS,
    Inputs,
    ModelFacts,
    RuntimeAnswers,
    RuntimeFacts,
    ask_model,
    ask_runtime,
)
from ml.model.runtime_comparison import ATOL, RTOL, compare_answers
from ml.model.runtimes import open_runtimes

KerasAnswers = Mapping[str, np.ndarray]
"""By family: Keras's answers, float32 [N, K]."""


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
    test, countries = read_examples(test_split), read_labels(labels)
    inputs = input_families(test.features)
    source, keras = _read_reference(reference, inputs)
    configuration = Served.load(read_json(served))
    data = Path(onnx_model).read_bytes()
    runtimes = open_runtimes(data, configuration)
    digests = {**source, "onnx_digest": file_digest(onnx_model), "test_digest": file_digest(test_split)}
    found = score_parity(
        ask_model(data, runtimes, test.features),
        (ask_runtime(runtime, inputs) for runtime in runtimes),
        keras,
        test.counts,
        countries,
        configuration,
        digests,
    )
    write_json(report, found)
    return ", ".join(
        f"{runtime.name} ({runtime.engine}, {runtime.precision}) "
        f"{max(family.worst_ratio for family in runtime.families):.2g}"
        for runtime in found.runtimes
    ) + (f" of the tolerance, {sum(len(rows) for rows in inputs.values()):,} rows")


def score_parity(
    facts: ModelFacts,
    runtimes: Iterable[tuple[RuntimeFacts, RuntimeAnswers]],
    keras: KerasAnswers,
    counts: np.ndarray,
    countries: list[str],
    served: Served,
    digests: Mapping[str, str],
) -> Parity:
    """Compare what the runtimes answered with what Keras answered.

    Args:
        facts: of the model.
        runtimes: what `ask_runtime` returned, one by one.
        keras: Keras's answers.
        counts: chart rows of the songs by country, [N, K].
        countries: the K labels.
        served: how the model is served.
        digests: the report's ``keras_digest``, ``onnx_digest`` and ``test_digest``.

    Raises:
        ValueError: a runtime's answers have another shape or type, or those to the songs are not numbers.
    """
    return Parity(
        keras_digest=digests["keras_digest"],
        onnx_digest=digests["onnx_digest"],
        test_digest=digests["test_digest"],
        served=served,
        opset=facts.opset,
        atol=ATOL,
        rtol=RTOL,
        interface_problems=tuple(interface_problems(facts, countries)),
        runtimes=tuple(score_runtime(*found, keras, counts, countries) for found in runtimes),
        model_bytes=facts.model_bytes,
        latency=facts.latency,
    )


def score_runtime(
    facts: RuntimeFacts,
    answers: RuntimeAnswers,
    keras: KerasAnswers,
    counts: np.ndarray,
    countries: list[str],
) -> RuntimeParity:
    """Compare one runtime's answers with Keras's.

    Raises:
        ValueError: as `score_parity`.
    """
    songs = answers[SONGS][len(counts)]
    return RuntimeParity(
        **{name: getattr(facts, name) for name in RuntimeFacts.model_fields},
        families=tuple(
            compare_answers(name, found, keras[name], countries) for name, found in answers.items()
        ),
        metrics=OnnxMetrics(**score_songs(songs, counts).points()),
    )


def _read_reference(path: str | Path, inputs: Inputs) -> tuple[dict[str, str], KerasAnswers]:
    """Return the reference's source, and Keras's answers by family."""
    found = read_reference(path)
    expected = np.concatenate(list(inputs.values()))
    same = np.array_equal(found.features, expected, equal_nan=True)
    if list(dict.fromkeys(found.families)) != list(inputs) or not same:
        raise ValueError("the reference answers are about other rows than this test split's")
    return found.source, {name: found.answers[found.families == name] for name in inputs}


def interface_problems(facts: ModelFacts, countries: list[str]) -> list[str]:
    """List what a client of the served model would trip over: names, types, shapes, metadata."""
    inputs, outputs = (
        [(entry.name, entry.type, list(entry.shape)) for entry in entries]
        for entries in (facts.inputs, facts.outputs)
    )
    expected = {
        "inputs": (inputs, [(INPUT, "tensor(float)", [len(FEATURES)])]),
        "outputs": (outputs, [(OUTPUT, "tensor(float)", [len(countries)])]),
        "metadata features": (_listed(facts.metadata, "features"), list(FEATURES)),
        "metadata labels": (_listed(facts.metadata, "labels"), countries),
    }
    return [
        f"{name}: {found} instead of {wanted}"
        for name, (found, wanted) in expected.items()
        if found != wanted
    ]


def _listed(metadata: Mapping[str, str], key: str) -> Any:
    """Return the JSON value of an entry of the metadata, or its text where it is not JSON."""
    text = metadata.get(key, "null")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text

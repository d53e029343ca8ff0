"""Check that the ONNX model, in each runtime that may serve it, computes what the trained model computed.

Each family of `ml.onnx.inputs` goes through each runtime of `ml.onnx.runtimes`; what a client would trip
over (names, types, shapes, metadata) and what an answer costs are looked at once. Asking the runtimes and
comparing what they answered are separate functions: asking needs no labels, and comparing needs no
model.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ml.core.files import file_digest, read_json, write_json
from ml.data.splits import Labels, read_examples, read_labels
from ml.gate.served import Served
from ml.gate.subjects.parity import OnnxMetrics, Parity, RuntimeParity
from ml.measure.metrics import score_examples
from ml.onnx.inputs import input_families
from ml.onnx.reference import read_reference
from ml.onnx.runtime_answers import (
    EXAMPLES,
    Inputs,
    ModelFacts,
    RuntimeAnswers,
    RuntimeFacts,
    ask_model,
    ask_runtime,
)
from ml.onnx.runtime_comparison import ATOL, RTOL, compare_answers
from ml.onnx.runtimes import open_runtimes
from ml.problem import INPUT, OUTPUT

ReferenceAnswers = Mapping[str, np.ndarray]
"""By family: the reference's answers, float32 [N, K]."""


def check_parity(
    onnx_model: str | Path,
    reference: str | Path,
    test_split: str | Path,
    labels: str | Path,
    served: str | Path,
    report: str | Path,
) -> str:
    """Compare the runtimes with the reference, write the `Parity`, and say how far they are.

    Args:
        onnx_model: the ONNX file.
        reference: the reference of `ml.onnx.conversion.convert`.
        test_split: parquet file of `ml.data.splits`; the reference must be about just its rows.
        labels: ``labels.json``.
        served: ``served.json``.
        report: the JSON file to write.

    Raises:
        ValueError: the reference is about other rows, or a runtime's answers have another shape.
    """
    test, named = read_examples(test_split), read_labels(labels)
    inputs = input_families(test.features)
    source, expected = _read_reference(reference, inputs)
    configuration = Served.load(read_json(served))
    data = Path(onnx_model).read_bytes()
    runtimes = open_runtimes(data, configuration)
    digests = {**source, "onnx_digest": file_digest(onnx_model), "test_digest": file_digest(test_split)}
    scored = score_parity(
        ask_model(data, runtimes, test.features),
        (ask_runtime(runtime, inputs) for runtime in runtimes),
        expected,
        test.counts,
        named,
        configuration,
        digests,
    )
    write_json(report, scored)
    return ", ".join(
        f"{runtime.name} ({runtime.engine}, {runtime.precision}) "
        f"{max(family.worst_ratio for family in runtime.families):.2g}"
        for runtime in scored.runtimes
    ) + (f" of the tolerance, {sum(len(rows) for rows in inputs.values()):,} rows")


def score_parity(
    facts: ModelFacts,
    runtimes: Iterable[tuple[RuntimeFacts, RuntimeAnswers]],
    reference: ReferenceAnswers,
    counts: np.ndarray,
    labels: Labels,
    served: Served,
    digests: Mapping[str, str],
) -> Parity:
    """Compare what the runtimes answered with what the reference answered.

    Args:
        facts: of the model.
        runtimes: what `ask_runtime` returned, one by one.
        reference: the reference's answers.
        counts: rows of the examples by class, [N, K].
        labels: the model's inputs and outputs by name.
        served: how the model is served.
        digests: the report's ``reference``, ``model_digest``, ``onnx_digest`` and ``test_digest``.

    Raises:
        ValueError: a runtime's answers have another shape or type, or those to the examples are not numbers.
    """
    return Parity(
        reference="native" if digests["reference"] == "native" else "self-reported",
        model_digest=digests["model_digest"],
        onnx_digest=digests["onnx_digest"],
        test_digest=digests["test_digest"],
        served=served,
        opset=facts.opset,
        atol=ATOL,
        rtol=RTOL,
        interface_problems=tuple(interface_problems(facts, labels)),
        runtimes=tuple(score_runtime(*answers, reference, counts, labels.classes) for answers in runtimes),
        model_bytes=facts.model_bytes,
        latency=facts.latency,
    )


def score_runtime(
    facts: RuntimeFacts,
    answers: RuntimeAnswers,
    reference: ReferenceAnswers,
    counts: np.ndarray,
    classes: Sequence[str],
) -> RuntimeParity:
    """Compare one runtime's answers with the reference's.

    Raises:
        ValueError: as `score_parity`.
    """
    examples = answers[EXAMPLES][len(counts)]
    return RuntimeParity(
        **{name: getattr(facts, name) for name in RuntimeFacts.model_fields},
        families=tuple(
            compare_answers(name, answer, reference[name], classes) for name, answer in answers.items()
        ),
        metrics=OnnxMetrics(**score_examples(examples, counts).points()),
    )


def _read_reference(path: str | Path, inputs: Inputs) -> tuple[dict[str, str], ReferenceAnswers]:
    """Return what the reference is of, and its answers by family."""
    arrays = read_reference(path)
    expected = np.concatenate(list(inputs.values()))
    same = np.array_equal(arrays.features, expected, equal_nan=True)
    if list(dict.fromkeys(arrays.families)) != list(inputs) or not same:
        raise ValueError("the reference answers are about other rows than this test split's")
    return arrays.source, {name: arrays.answers[arrays.families == name] for name in inputs}


def interface_problems(facts: ModelFacts, labels: Labels) -> list[str]:
    """List what a client of the served model would trip over: names, types, shapes, metadata."""
    inputs, outputs = (
        [(entry.name, entry.type, list(entry.shape)) for entry in entries]
        for entries in (facts.inputs, facts.outputs)
    )
    expected = {
        "inputs": (inputs, [(INPUT, "tensor(float)", [len(labels.features)])]),
        "outputs": (outputs, [(OUTPUT, "tensor(float)", [len(labels.classes)])]),
        "metadata features": (_listed(facts.metadata, "features"), list(labels.features)),
        "metadata labels": (_listed(facts.metadata, "labels"), list(labels.classes)),
        "metadata definition": (facts.metadata.get("definition", ""), labels.definition),
    }
    return [
        f"{name}: {actual} instead of {wanted}"
        for name, (actual, wanted) in expected.items()
        if actual != wanted
    ]


def _listed(metadata: Mapping[str, str], key: str) -> Any:
    """Return the JSON value of an entry of the metadata, or its text where it is not JSON."""
    text = metadata.get(key, "null")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text

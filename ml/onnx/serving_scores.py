"""Compare what a model server answered over HTTP with the reference: needs no server and no model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.core.records import Count, NonNegative, Record, Text
from ml.gate.subjects.parity import Latency
from ml.gate.subjects.serving import BadRequest, Batch, Positive, Serving
from ml.onnx.requests_v2 import FLOAT32, NAME
from ml.onnx.runtime_comparison import ATOL, RTOL
from ml.problem import INPUT, OUTPUT

BATCH_SIZES = (1, 7, 64)
"""Batch sizes of the golden requests, besides all examples at once."""

MOST_REQUESTS = 100
"""Golden requests of one batch size: at a hundred the small sizes say no more about other rows."""

MOST = 1e9
"""Stands for a difference to what is no number."""


class ServerFacts(Record):
    """What a model server said and did beside its answers; ``metadata`` is what it says of the model."""

    server: Text
    version: Text
    metadata: dict[str, Any] | None
    ready_seconds: NonNegative
    bad_requests: tuple[BadRequest, ...]
    latency: Latency
    peak_memory_mb: Positive
    ended_cleanly: bool
    processes_left: Count


@dataclass(frozen=True)
class ServerAnswers:
    """What a model server answered.

    Attributes:
        facts: what it said and did beside.
        batches: its answers by batch size, float32 [M, K]: to the rows that `asked_rows` names.
        after_bad: its answer to the first row after each bad request, float32 [1, K].
    """

    facts: ServerFacts
    batches: dict[int, np.ndarray]
    after_bad: list[np.ndarray]


def score_serving(
    server: ServerAnswers, reference: np.ndarray, features: int, digests: Mapping[str, str]
) -> Serving:
    """Compare what a server answered with the reference.

    Args:
        server: what the server answered.
        reference: the reference's answers to the rows, float32 [N, K].
        features: how many the model takes, F.
        digests: the report's ``model_digest``, ``onnx_digest``, ``test_digest`` and ``served_digest``.
    """
    facts, rows = server.facts, len(reference)
    batches = tuple(
        compare(size, answers, reference[asked_rows(size, rows)], requests_of(size, rows))
        for size, answers in server.batches.items()
    )
    after = [compare(1, answers, reference[:1]) for answers in server.after_bad]
    return Serving(
        model_digest=digests["model_digest"],
        onnx_digest=digests["onnx_digest"],
        test_digest=digests["test_digest"],
        served_digest=digests["served_digest"],
        server=facts.server,
        version=facts.version,
        protocol="v2 over HTTP",
        interface_problems=tuple(_interface_problems(facts.metadata, features, reference.shape[1])),
        ready_seconds=facts.ready_seconds,
        rows=rows,
        atol=ATOL,
        rtol=RTOL,
        batches=batches,
        bad_requests=facts.bad_requests,
        wrong_after_bad=sum(bool(batch.violations or batch.top1_flips) for batch in after),
        latency=facts.latency,
        peak_memory_mb=facts.peak_memory_mb,
        ended_cleanly=facts.ended_cleanly,
        processes_left=facts.processes_left,
    )


def batch_sizes(rows: int) -> tuple[int, ...]:
    """Return the batch sizes of the golden requests about so many rows."""
    return tuple(dict.fromkeys((*BATCH_SIZES, rows)))


def requests_of(size: int, rows: int) -> int:
    """Return how many golden requests of a batch size are made about so many rows."""
    return max(1, min(MOST_REQUESTS, rows // size))


def asked_rows(size: int, rows: int) -> np.ndarray:
    """Return which rows are asked about, in order: each batch is full, rows are repeated where they lack."""
    return np.resize(np.arange(rows), requests_of(size, rows) * size)


def _interface_problems(metadata: Mapping[str, Any] | None, features: int, classes: int) -> list[str]:
    """List in what the model's metadata is not what a client relies on: names, types, shapes."""
    if metadata is None:
        return ["the model has no metadata"]
    expected = {
        "name": NAME,
        "inputs": [{"name": INPUT, "datatype": FLOAT32, "shape": [-1, features]}],
        "outputs": [{"name": OUTPUT, "datatype": FLOAT32, "shape": [-1, classes]}],
    }
    return [
        f"{key}: {metadata.get(key)} instead of {wanted}"
        for key, wanted in expected.items()
        if metadata.get(key) != wanted
    ]


def compare(size: int, answers: np.ndarray, reference: np.ndarray, requests: int = 1) -> Batch:
    """Compare answers with the reference's.

    Args:
        size: rows in a request.
        answers: float32 [N, K']; all of it differs where K' is not K.
        reference: float32 [N, K].
        requests: how many requests were made.
    """
    if answers.shape != reference.shape:
        answers = np.full_like(reference, np.nan)
    expected = reference.astype("float64")
    apart = np.abs(np.nan_to_num(answers - expected, nan=MOST, posinf=MOST, neginf=MOST))
    tolerance = ATOL + RTOL * np.abs(expected)
    best = np.where(np.isfinite(answers), answers, -1).argmax(axis=1)
    second, first = np.sort(expected, axis=1)[:, -2:].T
    flipped = (best != expected.argmax(axis=1)) & (first - second > ATOL + RTOL * first)
    return Batch(
        size=size,
        requests=requests,
        rows=len(answers),
        max_difference=float(np.minimum(apart, MOST).max()),
        violations=int((apart > tolerance).sum()),
        top1_flips=int(flipped.sum()),
    )

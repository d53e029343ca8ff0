"""Check that a real model server loads the ONNX model, answers over HTTP what Keras answered, and ends.

What parity checks in this process is checked here from outside: a server of its own, the protocol, JSON,
refusals, time and memory. KServe's server runs the model in onnxruntime; other runtimes are parity's.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np

from ml.data.columns import FEATURES
from ml.data.splits import read_labels
from ml.files import file_digest, write_json
from ml.gate.reports.parity import Latency
from ml.gate.reports.serving import BadRequest, Batch, Serving
from ml.model.comparison import ATOL, RTOL
from ml.model.network import INPUT, OUTPUT
from ml.model.reference import read_reference
from ml.model.requests_v2 import FLOAT32, NAME, Client, bad_requests
from ml.model.server_process import Patience, server_command, started

BATCH_SIZES = (1, 7, 64)
"""Batch sizes of the golden requests, besides all songs at once."""

MOST_REQUESTS = 100
"""Golden requests of one batch size: at a hundred the small sizes say no more about other rows."""

LATENCY_CALLS = 300
MOST = 1e9
"""Stands for a difference to what is no number."""


def check_serving(
    onnx_model: str | Path,
    served: str | Path,
    reference: str | Path,
    labels: str | Path,
    report: str | Path,
    patience: Patience = Patience(),  # noqa: B008 (frozen)
) -> str:
    """Serve the model, ask it, write the `Serving`, and say how it did. No process is left.

    Args:
        onnx_model: the ONNX file.
        served: ``served.json``; the report says which it was.
        reference: the reference of `ml.model.conversion.convert`.
        labels: ``labels.json``.
        report: the JSON file to write.
        patience: how long the server may take.

    Raises:
        RunFailed: there is no server to start; or it does not become ready, dies, or answers what is no
        answer.
    """
    found, countries = read_reference(reference), read_labels(labels)
    test = found.families == "test"
    rows, keras = found.features[test], found.answers[test]
    command = server_command(Path(onnx_model).absolute(), NAME)
    with started(command, patience) as server:
        client = Client(server)
        ready = server.wait_until(lambda: _ready(client))
        about = client.get("") or {}
        sizes = dict.fromkeys((*BATCH_SIZES, len(rows)))
        batches = tuple(_golden(client, rows, keras, size) for size in sizes)
        bad, wrong = _refusals(client, rows[:1], keras[:1])
        latency = _latency(client, rows)
        memory = server.peak_memory_mb()
        problems = _interface_problems(client, len(countries))
        server.stop()
    result = Serving(
        keras_digest=found.source["keras_digest"],
        onnx_digest=file_digest(onnx_model),
        test_digest=found.source["test_digest"],
        served_digest=file_digest(served),
        server=str(about.get("name") or "unknown"),
        version=str(about.get("version") or "unknown"),
        protocol="v2 over HTTP",
        interface_problems=tuple(problems),
        ready_seconds=ready,
        rows=len(rows),
        atol=ATOL,
        rtol=RTOL,
        batches=batches,
        bad_requests=bad,
        wrong_after_bad=wrong,
        latency=latency,
        peak_memory_mb=memory,
        ended_cleanly=server.clean,
        processes_left=server.left,
    )
    write_json(report, result)
    return (
        f"{result.server} {result.version} ready in {ready:.1f} s, "
        f"{sum(batch.rows for batch in batches):,} rows over HTTP, "
        f"p99 {latency.p99_ms:.1f} ms, {memory:.0f} MB"
    )


def _ready(client: Client) -> bool:
    checks = (("/health/ready", {"ready": True}), (f"/models/{NAME}/ready", {"name": NAME, "ready": True}))
    return all(client.get(path) == answer for path, answer in checks)


def _interface_problems(client: Client, countries: int) -> list[str]:
    """List in what the model's metadata is not what a client relies on: names, types, shapes."""
    metadata: Any = client.get(f"/models/{NAME}")
    if not isinstance(metadata, dict):
        return ["the model has no metadata"]
    expected = {
        "name": NAME,
        "inputs": [{"name": INPUT, "datatype": FLOAT32, "shape": [-1, len(FEATURES)]}],
        "outputs": [{"name": OUTPUT, "datatype": FLOAT32, "shape": [-1, countries]}],
    }
    return [
        f"{key}: {metadata.get(key)} instead of {wanted}"
        for key, wanted in expected.items()
        if metadata.get(key) != wanted
    ]


def _golden(client: Client, rows: np.ndarray, keras: np.ndarray, size: int) -> Batch:
    """Ask in batches of one size, each full; rows are repeated where there are too few for one."""
    requests = max(1, min(MOST_REQUESTS, len(rows) // size))
    chosen = np.resize(np.arange(len(rows)), requests * size)
    answers = [client.infer(rows[part]) for part in np.split(chosen, requests)]
    return compare(size, np.concatenate(answers), keras[chosen], requests)


def compare(size: int, answers: np.ndarray, keras: np.ndarray, requests: int = 1) -> Batch:
    """Compare answers with Keras's.

    Args:
        size: rows in a request.
        answers: float32 [N, K']; all of it differs where K' is not K.
        keras: float32 [N, K].
        requests: how many requests were made.
    """
    if answers.shape != keras.shape:
        answers = np.full_like(keras, np.nan)
    expected = keras.astype("float64")
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


def _refusals(client: Client, row: np.ndarray, keras: np.ndarray) -> tuple[tuple[BadRequest, ...], int]:
    """Send each bad request, and a golden one after it; count the wrong answers to those."""
    found, wrong = [], 0
    for name, data in bad_requests(row).items():
        found.append(BadRequest(name=name, status=client.status(data)))
        after = compare(1, client.infer(row), keras)
        wrong += bool(after.violations or after.top1_flips)
    return tuple(found), wrong


def _latency(client: Client, rows: np.ndarray) -> Latency:
    """Time single-row requests over loopback, with JSON on both sides, after a tenth as many to warm up."""
    times = []
    for call in range(LATENCY_CALLS + LATENCY_CALLS // 10):
        row = rows[call % len(rows)][None]
        start = time.perf_counter()
        client.infer(row)
        times.append(1000 * (time.perf_counter() - start))
    p50, p99 = np.quantile(times[LATENCY_CALLS // 10 :], [0.5, 0.99])
    return Latency(p50_ms=float(p50), p99_ms=float(p99), calls=LATENCY_CALLS)

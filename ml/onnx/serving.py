"""Check that a real model server loads the ONNX model, answers over HTTP as the trained model, and ends.

What parity checks in this process is checked here from outside: a server of its own, the protocol, JSON,
refusals, time and memory. KServe's server runs the model in onnxruntime; other runtimes are parity's.
Asking the server and comparing what it answered are separate functions, as in parity.
"""

import time
from pathlib import Path

import numpy as np

from ml.core.files import file_digest, write_json
from ml.data.splits import read_labels
from ml.gate.subjects.parity import Latency
from ml.gate.subjects.serving import BadRequest
from ml.onnx.reference import read_reference
from ml.onnx.requests_v2 import NAME, InferenceClient, bad_requests
from ml.onnx.server_process import ServerTimeouts, server_command, started
from ml.onnx.serving_scores import (
    ServerAnswers,
    ServerFacts,
    asked_rows,
    batch_sizes,
    requests_of,
    score_serving,
)

LATENCY_CALLS = 300


def check_serving(
    onnx_model: str | Path,
    served: str | Path,
    reference: str | Path,
    labels: str | Path,
    report: str | Path,
    timeouts: ServerTimeouts = ServerTimeouts(),  # noqa: B008 (frozen)
) -> str:
    """Serve the model, ask it, write the `Serving`, and say how it did. No process is left.

    Args:
        onnx_model: the ONNX file.
        served: ``served.json``; the report says which it was.
        reference: the reference of `ml.onnx.conversion.convert`.
        labels: ``labels.json``.
        report: the JSON file to write.
        timeouts: how long the server may take.

    Raises:
        RunFailed: there is no server to start; or it does not become ready, dies, or answers what is no
        answer.
    """
    arrays, named = read_reference(reference), read_labels(labels)
    test = arrays.families == "test"
    rows, expected = arrays.features[test], arrays.answers[test]
    digests = {**arrays.source, "onnx_digest": file_digest(onnx_model), "served_digest": file_digest(served)}
    result = score_serving(ask_server(onnx_model, rows, timeouts), expected, len(named.features), digests)
    write_json(report, result)
    return (
        f"{result.server} {result.version} ready in {result.ready_seconds:.1f} s, "
        f"{sum(batch.rows for batch in result.batches):,} rows over HTTP, "
        f"p99 {result.latency.p99_ms:.1f} ms, {result.peak_memory_mb:.0f} MB"
    )


def ask_server(model: str | Path, rows: np.ndarray, timeouts: ServerTimeouts) -> ServerAnswers:
    """Serve a model, ask it about rows and about nonsense, and end it. No process is left.

    Args:
        model: the ONNX file.
        rows: raw features, float32 [N, F].
        timeouts: how long the server may take.

    Raises:
        RunFailed: as `check_serving`.
    """
    command = server_command(Path(model).absolute(), NAME)
    with started(command, timeouts) as server:
        client = InferenceClient(server)
        ready = server.wait_until(lambda: _ready(client))
        about, metadata = client.get("") or {}, client.get(f"/models/{NAME}")
        batches = {size: _golden(client, rows, size) for size in batch_sizes(len(rows))}
        bad, after = _refusals(client, rows[:1])
        latency = _latency(client, rows)
        memory = server.peak_memory_mb()
        server.stop()
    facts = ServerFacts(
        server=str(about.get("name") or "unknown"),
        version=str(about.get("version") or "unknown"),
        metadata=metadata if isinstance(metadata, dict) else None,
        ready_seconds=ready,
        bad_requests=bad,
        latency=latency,
        peak_memory_mb=memory,
        ended_cleanly=server.clean,
        processes_left=server.left,
    )
    return ServerAnswers(facts, batches, after)


def _ready(client: InferenceClient) -> bool:
    checks = (("/health/ready", {"ready": True}), (f"/models/{NAME}/ready", {"name": NAME, "ready": True}))
    return all(client.get(path) == answer for path, answer in checks)


def _golden(client: InferenceClient, rows: np.ndarray, size: int) -> np.ndarray:
    """Ask in batches of one size."""
    chosen = asked_rows(size, len(rows))
    parts = np.split(chosen, requests_of(size, len(rows)))
    return np.concatenate([client.infer(rows[part]) for part in parts])


def _refusals(client: InferenceClient, row: np.ndarray) -> tuple[tuple[BadRequest, ...], list[np.ndarray]]:
    """Send each bad request, and a golden one after it; return the statuses, and the golden answers."""
    statuses, after = [], []
    for name, data in bad_requests(row).items():
        statuses.append(BadRequest(name=name, status=client.status(data)))
        after.append(client.infer(row))
    return tuple(statuses), after


def _latency(client: InferenceClient, rows: np.ndarray) -> Latency:
    """Time single-row requests over loopback, with JSON on both sides, after a tenth as many to warm up."""
    times = []
    for call in range(LATENCY_CALLS + LATENCY_CALLS // 10):
        row = rows[call % len(rows)][None]
        start = time.perf_counter()
        client.infer(row)
        times.append(1000 * (time.perf_counter() - start))
    p50, p99 = np.quantile(times[LATENCY_CALLS // 10 :], [0.5, 0.99])
    return Latency(p50_ms=float(p50), p99_ms=float(p99), calls=LATENCY_CALLS)

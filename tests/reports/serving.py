"""A serving report that passes."""

from collections.abc import Mapping
from typing import Any

from reports.evaluation import SONGS
from reports.identity import DIGESTS

BATCHES = {1: 100, 7: 18, 64: 2, SONGS: 1}
"""By batch size, how many requests were made."""

BAD_REQUESTS = {
    "empty": 422,
    "not_json": 422,
    "not_text": 400,
    "wrong_shape": 400,
    "shape_of_other_data": 400,
    "wrong_name": 400,
    "wrong_type": 400,
    "text": 400,
    "nan": 400,
    "no_input": 400,
    "huge": 400,
}
"""By what is wrong with it, what a request was answered."""


def serving(digests: Mapping[str, str] = DIGESTS) -> dict[str, Any]:
    return {
        "schema": "jukebox.serving/v1",
        "keras_digest": digests["model.keras"],
        "onnx_digest": digests["model.onnx"],
        "test_digest": digests["test.parquet"],
        "served_digest": digests["served.json"],
        "server": "kserve",
        "version": "0.21.0",
        "protocol": "v2 over HTTP",
        "interface_problems": [],
        "ready_seconds": 2.5,
        "rows": SONGS,
        "atol": 1e-5,
        "rtol": 1e-3,
        "batches": [
            {
                "size": size,
                "requests": requests,
                "rows": size * requests,
                "max_difference": 3e-8,
                "violations": 0,
                "top1_flips": 0,
            }
            for size, requests in BATCHES.items()
        ],
        "bad_requests": [{"name": name, "status": status} for name, status in BAD_REQUESTS.items()],
        "wrong_after_bad": 0,
        "latency": {"p50_ms": 1.5, "p99_ms": 6.5, "calls": 300},
        "peak_memory_mb": 218.5,
        "ended_cleanly": True,
        "processes_left": 0,
    }

"""A parity report that passes."""

from collections.abc import Mapping
from typing import Any

from reports.evaluation import SONGS
from reports.identity import DIGESTS

FAMILIES = {"test": SONGS, "extremes": 26, "zeros": 1, "out_of_range": 26}
"""The families of inputs that parity compares, and how many rows each has."""


def family(name: str) -> dict[str, Any]:
    rows = FAMILIES[name]
    return {
        "name": name,
        "rows": rows,
        "batch_sizes": list(dict.fromkeys((1, 7, 64, rows))),
        "max_difference": 6e-8,
        "p99_difference": 1e-8,
        "worst_ratio": 0.0005,
        "worst_row": "row 0, SE, batches of 1",
        "violations": 0,
        "top1_disagreements": 0,
        "top1_ties": 1 if name == "test" else 0,
        "nonfinite": 0,
        "row_sum_error": 2e-7 if name == "test" else 1e-7,
    }


def parity(digests: Mapping[str, str] = DIGESTS) -> dict[str, Any]:
    return {
        "schema": "jukebox.parity/v1",
        "keras_digest": digests["model.keras"],
        "onnx_digest": digests["model.onnx"],
        "test_digest": digests["test.parquet"],
        "runtime": "onnxruntime 1.32.0",
        "opset": 18,
        "atol": 1e-5,
        "rtol": 1e-3,
        "interface_problems": [],
        "families": [family(name) for name in FAMILIES],
        "onnx": {"log_loss": 4.0 + 2**-20, "top1_mass": 0.0625, "top5_mass": 0.1875, "hit_at_5": 0.9375},
        "model_bytes": 46767,
        "latency": {"p50_ms": 0.0055, "p99_ms": 0.0625, "calls": 1000},
    }

"""A parity report that passes."""

import copy
from collections.abc import Mapping
from typing import Any

from reports.evaluation import SONGS
from reports.identity import DIGESTS, SERVED

FAMILIES = {
    "test": SONGS,
    "extremes": 26,
    "zeros": 1,
    "out_of_range": 26,
    "denormals": 112,
    "huge": 112,
    "nonfinite": 140,
}
"""The families of inputs that parity compares, and how many rows each has."""

RUNTIMES = {
    "served": ("openvino", "2026.4.1", SERVED["settings"]),
    "onnxruntime": ("onnxruntime", "1.32.0", {}),
    "openvino": ("openvino", "2026.4.1", {}),
}
"""The runtimes: engine, version, settings."""

BINDING = {"served": 0, "onnxruntime": 1}
"""Those that bind, and where they stand in the report."""


def family(name: str) -> dict[str, Any]:
    rows = FAMILIES[name]
    return {
        "name": name,
        "rows": rows,
        "batch_sizes": list(dict.fromkeys((1, 7, 64, 10000, rows))),
        "max_difference": 6e-8,
        "p99_difference": 1e-8,
        "worst_ratio": 0.0005,
        "worst_row": "row 0, SE, batches of 1",
        "violations": 0,
        "top1_disagreements": 0,
        "top1_ties": 1 if name == "test" else 0,
        "unanswered": rows if name == "nonfinite" else 0,
        "nonfinite": 0,
        "row_sum_error": 2e-7 if name == "test" else 1e-7,
    }


def runtime(name: str) -> dict[str, Any]:
    engine, version, settings = RUNTIMES[name]
    return {
        "name": name,
        "engine": engine,
        "version": version,
        "precision": "float32",
        "settings": dict(settings),
        "families": [family(name) for name in FAMILIES],
        "layouts": {"fortran": "same", "strided": "refused", "reversed": "same"},
        "threads": {"threads": 4, "calls": 100, "different": 0},
        "metrics": {"log_loss": 4.0 + 2**-20, "top1_mass": 0.0625, "top5_mass": 0.1875, "hit_at_5": 0.9375},
    }


def parity(digests: Mapping[str, str] = DIGESTS) -> dict[str, Any]:
    return {
        "schema": "jukebox.parity/v2",
        "keras_digest": digests["model.keras"],
        "onnx_digest": digests["model.onnx"],
        "test_digest": digests["test.parquet"],
        "served": copy.deepcopy(SERVED),
        "opset": 18,
        "atol": 1e-5,
        "rtol": 1e-3,
        "interface_problems": [],
        "runtimes": [runtime(name) for name in RUNTIMES],
        "model_bytes": 46767,
        "latency": {"p50_ms": 0.0055, "p99_ms": 0.0625, "calls": 1000},
    }

"""Budget: what serving the model may cost, by its size and its latency in the runtime that serves it."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from ml.core.records import Count, NonNegative, Record
from ml.gate.check import Check, compare
from ml.gate.subjects.parity import Parity
from ml.gate.threshold import threshold

WAIVABLE = ("budget.model_bytes", "budget.p50_latency_ms", "budget.p99_latency_ms")


class BudgetPolicy(Record):
    """What serving the model may cost."""

    max_model_bytes: Count = threshold(
        5_000_000,
        "bytes",
        "Size of model.onnx. The model has some 30 kB: the bound catches another kind of model.",
    )
    max_p99_latency_ms: NonNegative = threshold(
        50.0,
        "milliseconds",
        "Single-row latency, 99th percentile, as served. The model answers in 0.3: the bound catches "
        "another kind of model, not a noisy machine.",
    )
    max_p50_latency_ms: NonNegative = threshold(
        5.0,
        "milliseconds",
        "Single-row latency, median, as served. The model answers in 0.1, even where its 99th percentile "
        "is twenty times that on a busy machine: this bound can be tighter.",
    )
    min_latency_calls: Annotated[int, Field(ge=1)] = threshold(
        100,
        "calls",
        "A percentile of fewer calls than this is not one.",
    )


def budget_checks(report: Parity, bounds: BudgetPolicy) -> Iterator[Check]:
    """Check what serving the model costs."""
    yield compare("budget.model_bytes", report.model_bytes, "<=", bounds.max_model_bytes)
    yield compare("budget.latency_calls", report.latency.calls, ">=", bounds.min_latency_calls)
    yield compare("budget.p50_latency_ms", report.latency.p50_ms, "<=", bounds.max_p50_latency_ms)
    yield compare("budget.p99_latency_ms", report.latency.p99_ms, "<=", bounds.max_p99_latency_ms)

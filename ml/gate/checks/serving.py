"""Checks of serving: a real server loaded the model, answered rightly, kept to its budget, and ended."""

from collections.abc import Iterator

from ml.gate.checks.check import Check, compare, readable
from ml.gate.reports.serving import Batch, Serving
from ml.gate.thresholds import ParityPolicy, ServingPolicy


def serving_checks(report: Serving, bounds: ServingPolicy, parity: ParityPolicy) -> Iterator[Check]:
    """Check what the server answered, and how it behaved; the tolerance is parity's."""
    problems = report.interface_problems
    yield compare("serving.interface", len(problems), "==", 0, "; ".join(problems))
    yield compare("serving.ready_seconds", report.ready_seconds, "<=", bounds.max_ready_seconds)
    yield compare("serving.atol", report.atol, "<=", parity.max_atol)
    yield compare("serving.rtol", report.rtol, "<=", parity.max_rtol)
    yield from _batches(report, bounds)
    yield from _refusals(report, bounds)
    latency = report.latency
    yield compare("serving.latency_calls", latency.calls, ">=", bounds.min_latency_calls)
    yield compare("serving.p99_latency_ms", latency.p99_ms, "<=", bounds.max_p99_latency_ms)
    yield compare("serving.memory_mb", report.peak_memory_mb, "<=", bounds.max_memory_mb)
    yield compare(
        "serving.ended_badly", not report.ended_cleanly, "==", 0, "it did not end when it was told to"
    )
    yield compare("serving.processes_left", report.processes_left, "==", 0)


def _batches(report: Serving, bounds: ServingPolicy) -> Iterator[Check]:
    sizes = [batch.size for batch in report.batches]
    missing = sorted({*bounds.required_batch_sizes, report.rows} - set(sizes))
    yield compare("serving.batch_sizes_missing", len(missing), "==", 0, f"not asked for: {missing}")
    for size in dict.fromkeys(sizes):
        name = f"serving.batches_of_{size}"
        if sizes.count(size) != 1:
            yield readable(name, "unclear", "the size was not asked for exactly once")
            continue
        yield from _batch(name, report.batches[sizes.index(size)])


def _batch(name: str, batch: Batch) -> Iterator[Check]:
    yield compare(f"{name}.requests", batch.requests, ">=", 1)
    yield compare(f"{name}.violations", batch.violations, "==", 0, f"differs by {batch.max_difference:.3g}")
    yield compare(f"{name}.top1_flips", batch.top1_flips, "==", 0)


def _refusals(report: Serving, bounds: ServingPolicy) -> Iterator[Check]:
    names = [bad.name for bad in report.bad_requests]
    for name in dict.fromkeys((*bounds.required_bad_requests, *names)):
        check = f"serving.refuses.{name}"
        if names.count(name) != 1:
            yield readable(check, "unclear", "the bad request was not made exactly once")
            continue
        status = report.bad_requests[names.index(name)].status
        yield compare(check, status // 100, "==", 4, f"answered {status or 'nothing'} to it, not 4xx")
    yield compare("serving.wrong_after_bad", report.wrong_after_bad, "==", 0)

"""Serving: a real model server loads the ONNX model, answers rightly, keeps to its budget, and ends."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from ml.core.records import LARGEST, Count, Digest, Names, NonNegative, Record, Text
from ml.gate.check import Check, compare, readable
from ml.gate.subjects.parity import Latency, ParityPolicy
from ml.gate.threshold import threshold

WAIVABLE = ("serving.p99_latency_ms", "serving.memory_mb")

Positive = Annotated[float, Field(gt=0, le=LARGEST)]
Size = Annotated[int, Field(ge=1, le=int(LARGEST))]


class Batch(Record):
    """Golden requests of one batch size, compared with the reference's answers to the same rows.

    ``violations`` counts the numbers that differ by more than ``atol + rtol * |reference|``, and
    ``top1_flips`` the rows that get another class where the reference's two best are not closer than that.
    """

    size: Size
    requests: Count
    rows: Count
    max_difference: NonNegative
    violations: Count
    top1_flips: Count


class BadRequest(Record):
    """A request that must be refused: the status that it got, 0 where there was no answer."""

    name: Text
    status: Annotated[int, Field(ge=0, le=999)]


class Serving(Record):
    """What `serving` measured: does the model server load the model, answer rightly, and end?

    ``rows`` is how many examples there are to ask about. ``wrong_after_bad`` counts the bad requests after
    which a golden request got another answer than it should. Latency is that of one row over loopback, with
    HTTP and JSON; memory is the peak of all of the server's processes, in 10^6 bytes.
    """

    schema_: Literal["jukebox.serving/v2"] = Field("jukebox.serving/v2", alias="schema")
    model_digest: Digest
    onnx_digest: Digest
    test_digest: Digest
    served_digest: Digest
    server: Text
    version: Text
    protocol: Literal["v2 over HTTP"]
    interface_problems: tuple[str, ...]
    ready_seconds: NonNegative
    rows: Count
    atol: NonNegative
    rtol: NonNegative
    batches: tuple[Batch, ...]
    bad_requests: tuple[BadRequest, ...]
    wrong_after_bad: Count
    latency: Latency
    peak_memory_mb: Positive
    ended_cleanly: bool
    processes_left: Count


class ServingPolicy(Record):
    """What a real server with the model must answer and refuse, and what it may cost."""

    max_ready_seconds: NonNegative = threshold(
        60.0,
        "seconds",
        "From the start of the server's process to its word that it is ready. Measured: 2 to 3; a pod "
        "that takes a minute is restarted by its probes.",
    )
    required_batch_sizes: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = threshold(
        (1, 7, 64),
        "rows",
        "Batch sizes that must have been asked for over HTTP; all test examples at once always is. One "
        "example, a few, and a page of them: what clients send.",
    )
    required_bad_requests: Names = threshold(
        (
            "empty",
            "not_json",
            "not_text",
            "wrong_shape",
            "shape_of_other_data",
            "wrong_name",
            "wrong_type",
            "text",
            "nan",
            "no_input",
            "huge",
        ),
        "names",
        "What the server must have been sent and must have refused with a 4xx: what broken clients send. "
        "An answer would be made up, and a 5xx would have the client try again.",
    )
    min_latency_calls: Annotated[int, Field(ge=1)] = threshold(
        200,
        "calls",
        "Of fewer requests than this the 99th percentile is the slowest or the one before it.",
    )
    max_p99_latency_ms: NonNegative = threshold(
        100.0,
        "milliseconds",
        "Time of one example's request over loopback, with HTTP and JSON, 99th percentile. Measured: 2 to 15 "
        "on two busy cores; a client notices from 100 on.",
    )
    max_memory_mb: NonNegative = threshold(
        1000.0,
        "megabytes",
        "Peak resident memory of all of the server's processes. Measured: 220 to 250, nearly all of it "
        "libraries; a server of this kind is usually given one gigabyte.",
    )


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

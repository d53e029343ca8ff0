"""Parity: the ONNX model, in each runtime, computes and scores what the trained model does, its reference."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from ml.core.records import Count, Digest, Names, NonNegative, Record, Share, Text
from ml.gate.check import Check, compare, readable
from ml.gate.served import Served
from ml.gate.subjects.evaluation import Metrics
from ml.gate.threshold import threshold

SERVED = "served"
"""The runtime of the report that is set up as ``served.json`` says."""


class Family(Record):
    """One family of inputs on which the reference and a runtime were compared.

    ``worst_ratio`` is the largest ``|difference| / (atol + rtol * |reference|)``: above 1 is a violation.
    Rows whose two best classes are closer than the tolerance are ties, not disagreements. ``unanswered``
    counts the rows to which the reference gives NaN, as it must, and ``nonfinite`` the numbers that are
    finite in one of both only.
    """

    name: str
    rows: Count
    batch_sizes: tuple[Count, ...]
    max_difference: NonNegative
    p99_difference: NonNegative
    worst_ratio: NonNegative
    worst_row: str
    violations: Count
    top1_disagreements: Count
    top1_ties: Count
    unanswered: Count
    nonfinite: Count
    row_sum_error: NonNegative


class OnnxMetrics(Record):
    """The ONNX model's own metrics on the test split, as in `Metrics`."""

    log_loss: NonNegative
    top1_mass: Share
    top5_mass: Share
    hit_at_5: Share


class Layouts(Record):
    """What came of the same rows in memory that is not one piece: the same bytes, an error, or others."""

    fortran: Literal["same", "refused", "different"]
    strided: Literal["same", "refused", "different"]
    reversed: Literal["same", "refused", "different"]


class Threads(Record):
    """Calls from threads at the same time, and how many gave other bytes than alone, or an error."""

    threads: Count
    calls: Count
    different: Count


class RuntimeParity(Record):
    """What was measured in one runtime: ``name`` is its part here, ``engine`` what it is.

    ``precision`` is what the engine says that it computes in, and ``settings`` what it was told.
    """

    name: Text
    engine: Text
    version: Text
    precision: Text
    settings: dict[Text, Text]
    families: tuple[Family, ...]
    layouts: Layouts
    threads: Threads
    metrics: OnnxMetrics


class Latency(Record):
    """Single-row latency of the runtime in milliseconds, over so many calls."""

    p50_ms: NonNegative
    p99_ms: NonNegative
    calls: Count


class Parity(Record):
    """What `parity` measured: do the runtimes compute what the reference does?

    ``reference`` is "native" where the trained model is in a format that the judge loads (``model.keras``)
    and was asked itself. It is "self-reported" for other formats: only the run has asked the trained model,
    and the judge compares the runtimes with onnxruntime instead. ``model_digest`` is that of the reference.

    ``served`` is what ``served.json`` says; ``latency`` is that of the runtime set up so.
    """

    schema_: Literal["jukebox.parity/v3"] = Field("jukebox.parity/v3", alias="schema")
    reference: Literal["native", "self-reported"]
    model_digest: Digest
    onnx_digest: Digest
    test_digest: Digest
    served: Served
    opset: Count
    atol: NonNegative
    rtol: NonNegative
    interface_problems: tuple[str, ...]
    runtimes: tuple[RuntimeParity, ...]
    model_bytes: Count
    latency: Latency

    @field_validator("served", mode="before")
    @classmethod
    def _states_its_version(cls, served: Any) -> Any:
        if isinstance(served, dict) and "schema" not in served:
            raise ValueError("schema: missing")
        return served


class ParityPolicy(Record):
    """How closely the ONNX model must follow the trained model, and in which runtimes."""

    binding_runtimes: Names = threshold(
        ("served", "onnxruntime"),
        "names",
        "Runtimes in which every check of parity blocks: the one set up as served.json says, for its "
        "answers are what users get; and onnxruntime, which KServe's own server uses on the same file: a "
        "candidate must not depend on which of the two servers picks it up.",
    )
    reported_runtimes: Names = threshold(
        ("openvino",),
        "names",
        "Runtimes that must be in the report, and whose differences warn only. OpenVINO by itself picks "
        "bfloat16 on a CPU that has it, and then names other classes. A server that is set up as "
        "served.json says does not do that; the warning is about one that is not.",
    )
    served_precisions: Names = threshold(
        ("float32",),
        "names",
        "Precisions in which the served runtime may compute, by its own word, and by its settings: the "
        "machine that serves may have another CPU than the one that measured. Three digits are too few "
        "for parity.",
    )
    reference: Literal["native", "self-reported"] = threshold(
        "native",
        "native or self-reported",
        "What the exported model must be compared with. Native: with the trained model, which the judge "
        "loads itself. A solution whose format the judge does not load passes only where self-reported is "
        "enough: then nobody but the run has compared its exported model with the trained one.",
    )
    max_atol: NonNegative = threshold(
        1e-05,
        "probability",
        "The absolute part of the tolerance |d| <= atol + rtol * |reference|, at which parity may be "
        "measured at most. Measured differences are below 1e-6.",
    )
    max_rtol: NonNegative = threshold(
        0.001,
        "ratio",
        "The relative part of that tolerance; ONNX's own backend tests use as much.",
    )
    required_families: Names = threshold(
        ("test", "extremes", "zeros", "out_of_range", "denormals", "huge", "nonfinite"),
        "names",
        "Families of inputs that must have been compared: examples, what lies at their edges, and what "
        "floating point has beside plain numbers, where runtimes differ most.",
    )
    unanswered_families: Names = threshold(
        ("nonfinite",),
        "names",
        "The families to whose every row the model must answer NaN: a number would be made up. In the "
        "others it must answer each row with numbers.",
    )
    required_batch_sizes: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = threshold(
        (1, 7, 64, 10000),
        "rows",
        "Batch sizes that must have been compared; all rows at once always is. Runtimes have kernels of "
        "their own for one row, for a few, and for what does not fill a vector; 10,000 is the most that "
        "is served.",
    )
    max_row_sum_error: NonNegative = threshold(
        0.0001,
        "probability",
        "Each row of probabilities sums to one within this.",
    )
    max_top1_tie_share: Share = threshold(
        0.01,
        "share of rows",
        "Rows whose two best classes are closer than the tolerance may swap them; more such swaps in a "
        "family are no coincidence.",
    )
    min_threads: Annotated[int, Field(ge=2)] = threshold(
        4,
        "threads",
        "Threads that must have called at once, at least: as many as a small server has.",
    )
    min_thread_calls: Annotated[int, Field(ge=1)] = threshold(
        100,
        "calls",
        "Calls that must have been made so, at least: a race that shows itself in one of ten is found.",
    )
    max_metric_difference: NonNegative = threshold(
        0.0001,
        "nats, shares",
        "The ONNX model's own metrics against the reference's on the same examples.",
    )


PINS = {"onnxruntime": {}, "openvino": {"INFERENCE_PRECISION_HINT": {"f32": "float32"}}}
"""The setting that keeps a runtime from picking a precision by itself, and what its values mean."""


def parity_checks(report: Parity, bounds: ParityPolicy) -> Iterator[Check]:
    """Check that the runtimes that bind answer as the reference does; the others are reported, and warn."""
    yield compare(
        "parity.self_reported",
        report.reference == "self-reported" and bounds.reference == "native",
        "==",
        0,
        "the judge cannot load the trained model, so only the run has compared the ONNX model with it; the "
        "policy says with parity.reference whether that is enough",
    )
    yield compare("parity.atol", report.atol, "<=", bounds.max_atol)
    yield compare("parity.rtol", report.rtol, "<=", bounds.max_rtol)
    problems = report.interface_problems
    yield compare("parity.interface", len(problems), "==", 0, "; ".join(problems))
    yield _pinned(report.served, bounds)
    names = [runtime.name for runtime in report.runtimes]
    for name in dict.fromkeys((*bounds.binding_runtimes, *bounds.reported_runtimes, *names)):
        if names.count(name) != 1:
            yield readable(f"parity.{name}", "unclear", "the runtime was not measured exactly once")
            continue
        runtime = report.runtimes[names.index(name)]
        if name == SERVED:
            yield _precision(runtime, bounds)
        # A runtime that the policy does not know binds as well: nobody has said that it may differ.
        binds = name in bounds.binding_runtimes or name not in bounds.reported_runtimes
        yield from _binding(runtime, bounds) if binds else _reported(runtime, bounds)


def _pinned(served: Served, bounds: ParityPolicy) -> Check:
    loose = [
        f"{setting} must be one of {', '.join(values)}"
        for setting, values in PINS[served.runtime].items()
        if values.get(served.settings.get(setting, "")) not in bounds.served_precisions
    ]
    return compare("parity.served.unpinned", len(loose), "==", 0, "; ".join(loose))


def _precision(runtime: RuntimeParity, bounds: ParityPolicy) -> Check:
    allowed = runtime.precision in bounds.served_precisions
    reason = f"the served runtime computes in {runtime.precision}, not {', '.join(bounds.served_precisions)}"
    return compare("parity.served.other_precision", not allowed, "==", 0, reason)


def _reported(runtime: RuntimeParity, bounds: ParityPolicy) -> Iterator[Check]:
    names = [family.name for family in runtime.families]
    unclear = [name for name in dict.fromkeys((*bounds.required_families, *names)) if names.count(name) != 1]
    unclear += [family.name for family in runtime.families if _missing(family, bounds)]
    if unclear:
        reason = f"not compared in it exactly once, in each size of batch: {', '.join(unclear)}"
        yield readable(f"parity.{runtime.name}", "unclear", reason)
        return
    worst = max(runtime.families, key=lambda family: family.worst_ratio)
    flips = sum(family.top1_disagreements for family in runtime.families)
    rows = sum(family.rows for family in runtime.families)
    how = f"{runtime.engine} computes in {runtime.precision}"
    yield compare(
        f"parity.{runtime.name}.worst_ratio",
        worst.worst_ratio,
        "<=",
        1,
        f"{how}: {worst.name} {worst.worst_row} differs by {worst.max_difference:.3g}",
        level="warn",
    )
    yield compare(
        f"parity.{runtime.name}.top1_flips",
        flips,
        "==",
        0,
        f"{how}: {flips} of {rows} rows get another class",
        level="warn",
    )


def _binding(runtime: RuntimeParity, bounds: ParityPolicy) -> Iterator[Check]:
    prefix = f"parity.{runtime.name}"
    names = [family.name for family in runtime.families]
    for name in dict.fromkeys((*bounds.required_families, *names)):
        if names.count(name) != 1:
            yield readable(f"{prefix}.{name}", "unclear", "the family was not compared exactly once")
            continue
        yield from _family(f"{prefix}.{name}", runtime.families[names.index(name)], bounds)
    different = [name for name, outcome in runtime.layouts.to_json().items() if outcome == "different"]
    yield compare(
        f"{prefix}.layouts", len(different), "==", 0, f"other answers to {', '.join(different)} memory"
    )
    threads = runtime.threads
    yield compare(f"{prefix}.threads", threads.threads, ">=", bounds.min_threads)
    yield compare(f"{prefix}.threads.calls", threads.calls, ">=", bounds.min_thread_calls)
    yield compare(f"{prefix}.threads.different", threads.different, "==", 0)


def _missing(family: Family, bounds: ParityPolicy) -> list[int]:
    return sorted({*bounds.required_batch_sizes, family.rows} - set(family.batch_sizes))


def _family(name: str, family: Family, bounds: ParityPolicy) -> Iterator[Check]:
    worst = f"worst at {family.worst_row}, differs by {family.max_difference:.3g}"
    missing = _missing(family, bounds)
    unanswered = family.rows if family.name in bounds.unanswered_families else 0
    yield compare(f"{name}.batch_sizes_missing", len(missing), "==", 0, f"not compared: {missing}")
    yield compare(f"{name}.worst_ratio", family.worst_ratio, "<=", 1, worst)
    yield compare(f"{name}.unanswered", family.unanswered, "==", unanswered)
    yield compare(f"{name}.nonfinite", family.nonfinite, "==", 0)
    yield compare(f"{name}.row_sum", family.row_sum_error, "<=", bounds.max_row_sum_error)
    yield compare(f"{name}.top1_flips", family.top1_disagreements, "==", 0)
    yield compare(f"{name}.top1_ties", family.top1_ties, "<=", bounds.max_top1_tie_share * family.rows)


def agreement_checks(evaluated: Metrics, parity: Parity, bounds: ParityPolicy) -> Iterator[Check]:
    """Check that the runtimes that bind score what the evaluated model scores."""
    for runtime in parity.runtimes:
        if runtime.name in bounds.reported_runtimes and runtime.name not in bounds.binding_runtimes:
            continue
        name = f"parity.{runtime.name}"
        for metric, ours in runtime.metrics.to_json().items():
            theirs = getattr(evaluated, metric).value
            yield compare(
                f"{name}.{metric}.difference",
                abs(ours - theirs),
                "<=",
                bounds.max_metric_difference,
                f"it scores {ours:.6g}, and the evaluated model {theirs:.6g}",
            )

"""Checks of parity: the runtimes answer as Keras does, score what Keras scores, and keep to their budget."""

from collections.abc import Iterator

from ml.gate.checks.check import Check, compare, readable
from ml.gate.reports.evaluation import Evaluation
from ml.gate.reports.parity import SERVED, Family, Parity, RuntimeParity
from ml.gate.reports.served import Served
from ml.gate.thresholds import BudgetPolicy, ParityPolicy

PINS = {"onnxruntime": {}, "openvino": {"INFERENCE_PRECISION_HINT": {"f32": "float32"}}}
"""The setting that keeps a runtime from picking a precision by itself, and what its values mean."""


def parity_checks(report: Parity, bounds: ParityPolicy) -> Iterator[Check]:
    """Check that the runtimes that bind answer as Keras does; what others do is told, and warns."""
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
        f"{how}: {flips} of {rows} rows get another country",
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


def agreement_checks(evaluation: Evaluation, parity: Parity, bounds: ParityPolicy) -> Iterator[Check]:
    """Check that the runtimes that bind score what the evaluated model scores."""
    for runtime in parity.runtimes:
        if runtime.name in bounds.reported_runtimes and runtime.name not in bounds.binding_runtimes:
            continue
        name = f"parity.{runtime.name}"
        for metric, ours in runtime.metrics.to_json().items():
            theirs = getattr(evaluation.model, metric).value
            yield compare(
                f"{name}.{metric}.difference",
                abs(ours - theirs),
                "<=",
                bounds.max_metric_difference,
                f"it scores {ours:.6g}, and the evaluated model {theirs:.6g}",
            )


def budget_checks(report: Parity, bounds: BudgetPolicy) -> Iterator[Check]:
    """Check what serving the model costs."""
    yield compare("budget.model_bytes", report.model_bytes, "<=", bounds.max_model_bytes)
    yield compare("budget.latency_calls", report.latency.calls, ">=", bounds.min_latency_calls)
    yield compare("budget.p99_latency_ms", report.latency.p99_ms, "<=", bounds.max_p99_latency_ms)

"""Checks of parity: the runtime answers as Keras does, scores what Keras scores, and keeps to its budget."""

from collections.abc import Iterator

from ml.gate.checks.check import Check, compare, readable
from ml.gate.reports.evaluation import Evaluation
from ml.gate.reports.parity import Parity
from ml.gate.thresholds import BudgetPolicy, ParityPolicy


def parity_checks(report: Parity, bounds: ParityPolicy) -> Iterator[Check]:
    """Check that the runtime answers as Keras does, in every family of inputs."""
    yield compare("parity.atol", report.atol, "<=", bounds.max_atol)
    yield compare("parity.rtol", report.rtol, "<=", bounds.max_rtol)
    problems = report.interface_problems
    yield compare("parity.interface", len(problems), "==", 0, "; ".join(problems))
    names = [family.name for family in report.families]
    for name in dict.fromkeys((*bounds.required_families, *names)):
        if names.count(name) != 1:
            yield readable(f"parity.{name}", "unclear", "the family was not compared exactly once")
            continue
        family = report.families[names.index(name)]
        worst = f"worst at {family.worst_row}, differs by {family.max_difference:.3g}"
        wanted = {*bounds.required_batch_sizes, family.rows}
        missing = sorted(wanted - set(family.batch_sizes))
        yield compare(f"parity.{name}.rows", family.rows, ">=", 1)
        yield compare(f"parity.{name}.batch_sizes_missing", len(missing), "==", 0, f"not compared: {missing}")
        yield compare(f"parity.{name}.violations", family.violations, "==", 0, worst)
        yield compare(f"parity.{name}.worst_ratio", family.worst_ratio, "<=", 1, worst)
        yield compare(f"parity.{name}.nonfinite", family.nonfinite, "==", 0)
        yield compare(f"parity.{name}.row_sum", family.row_sum_error, "<=", bounds.max_row_sum_error)
        yield compare(f"parity.{name}.top1_flips", family.top1_disagreements, "==", 0)
        yield compare(
            f"parity.{name}.top1_ties", family.top1_ties, "<=", bounds.max_top1_tie_share * family.rows
        )


def agreement_checks(evaluation: Evaluation, parity: Parity, bounds: ParityPolicy) -> Iterator[Check]:
    """Check that both reports are about the same songs, and that ONNX scores what Keras scores."""
    rows = next((family.rows for family in parity.families if family.name == "test"), 0)
    yield compare("parity.test.all_songs", rows, "==", evaluation.songs, "not every test song was compared")
    for name, ours in parity.onnx.to_json().items():
        theirs = getattr(evaluation.model, name).value
        yield compare(
            f"onnx.{name}.difference",
            abs(ours - theirs),
            "<=",
            bounds.max_metric_difference,
            f"ONNX scores {ours:.6g} where Keras scores {theirs:.6g}",
        )


def budget_checks(report: Parity, bounds: BudgetPolicy) -> Iterator[Check]:
    """Check what serving the model costs."""
    yield compare("budget.model_bytes", report.model_bytes, "<=", bounds.max_model_bytes)
    yield compare("budget.latency_calls", report.latency.calls, ">=", bounds.min_latency_calls)
    yield compare("budget.p99_latency_ms", report.latency.p99_ms, "<=", bounds.max_p99_latency_ms)

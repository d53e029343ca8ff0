"""Two runs side by side: what was changed between them, and the effect on the results."""

from pydantic import BaseModel, ConfigDict

from ml.gate.check import Check
from ml.gate.subjects.data import DataReport
from ml.gate.subjects.parity import Parity
from ml.pipeline.run_record import Run

METRICS = ("log_loss", "top1_mass", "top5_mass", "hit_at_5", "macro_f1", "calibration_error")
GAINS = ("gain_over_prior", "gain_over_logistic")

PASSES = {"pass", None}
Fact = str | float | bool | None


class Measured(BaseModel):
    """A number that was measured, and its interval where it has one."""

    model_config = ConfigDict(frozen=True)

    value: float
    low: float | None = None
    high: float | None = None


class Differences(BaseModel):
    """What differs between two runs; None stands for what is not known of one of them.

    ``changed`` are settings, data, code and results by name, ``same`` the names of those that are equal.
    ``checks`` are those of the gate that came out differently; those that only one run made, and passed, are
    left out. ``note`` says why the metrics cannot be compared, "" where they can.
    """

    model_config = ConfigDict(frozen=True)

    changed: dict[str, tuple[Fact, Fact]]
    same: tuple[str, ...]
    metrics: dict[str, tuple[Measured | None, Measured | None]]
    checks: dict[str, tuple[str | None, str | None]]
    note: str

    @property
    def comparable(self) -> bool:
        """Whether both were measured on the same test examples."""
        return not self.note


def compare_runs(first: Run, second: Run) -> Differences:
    """Compare two runs, as far as both are known."""
    left, right = _facts(first), _facts(second)
    pairs = {name: (left.get(name), right.get(name)) for name in {**left, **right}}
    known = {name: pair for name, pair in pairs.items() if pair != (None, None)}
    ours, theirs = _checks(first), _checks(second)
    outcomes = {name: (ours.get(name), theirs.get(name)) for name in {**ours, **theirs}}
    a, b = _metrics(first), _metrics(second)
    return Differences(
        changed={name: pair for name, pair in known.items() if pair[0] != pair[1]},
        same=tuple(name for name, pair in known.items() if pair[0] == pair[1]),
        metrics={name: (a.get(name), b.get(name)) for name in {**a, **b}},
        checks={name: pair for name, pair in outcomes.items() if pair[0] != pair[1] and {*pair} != PASSES},
        note=_note(first, second),
    )


def _facts(run: Run) -> dict[str, Fact]:
    """Return all single values that may explain a different result, or are one."""
    data, parity = run.report(DataReport, "data_report"), run.report(Parity, "parity")
    evaluation = run.evaluation
    measured: dict[str, Fact] = {
        **({f"rows of {name}": count for name, count in data.rows.items()} if data else {}),
        "classes": evaluation.labels if evaluation else None,
        "test examples": evaluation.examples if evaluation else None,
        "model bytes": parity.model_bytes if parity else None,
    }
    return {
        "verdict": run.verdict,
        "problem": run.problem_name or None,
        "commit": run.code or None,
        "data version": run.data_version or None,
        "data": run.source or None,
        "synthetic": run.synthetic,
        **run.hyperparameters,
        "model name": run.model_name or None,
        "model version": run.model_version or None,
        "champion": run.champion if run.champion is None else run.champion[:12] or "none",
        "image": run.image or None,
        "policy": run.policy[7:19] or None,
        **measured,
    }


def _metrics(run: Run) -> dict[str, Measured]:
    report = run.evaluation
    if not report:
        return {}
    values = {name: getattr(report.model, name) for name in METRICS}
    values |= {name: getattr(report, name) for name in GAINS}
    return {
        name: Measured(value=value)
        if isinstance(value, float)
        else Measured(value=value.value, low=value.low, high=value.high)
        for name, value in values.items()
    }


def _checks(run: Run) -> dict[str, str]:
    return {check.name: _outcome(check) for check in run.evidence.verdict.checks} if run.evidence else {}


def _outcome(check: Check) -> str:
    if check.passed:
        return "pass"
    return "BLOCK" if check.blocks else "waived" if check.waiver else "warn"


def _note(first: Run, second: Run) -> str:
    """Say why the metrics of two runs cannot be compared, "" where they can."""
    for run in (first, second):
        if not run.evaluation:
            return f"run {run.id} has no metrics ({run.verdict}); what is known of it is compared"
    if first.data_version != second.data_version:
        return (
            "the runs used different test examples (another data version): their metrics are not comparable"
        )
    digests = {run.evaluation.test_digest for run in (first, second) if run.evaluation}
    if len(digests) > 1:
        return "the runs used different test examples (another split): their metrics are not comparable"
    return ""

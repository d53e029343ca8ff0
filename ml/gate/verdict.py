"""Reports and a policy in, a verdict out: the one place where it is decided whether a model may pass.

`decide` never raises for what it is given. Whatever is missing, unreadable or of another version becomes a
failed check with its reason, and one failed check blocks. The checks are thresholds on what was measured: who
measured it decides what the verdict is worth. In a run the commit's own code did, and the verdict is a
self-check; the judge's attestation (`ml.judge`) decides about promotion.
"""

import datetime
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from ml.gate.checks.champion import champion_checks
from ml.gate.checks.check import Check, Level, readable
from ml.gate.checks.data import data_checks
from ml.gate.checks.drift import drift_checks
from ml.gate.checks.evaluation import evaluation_checks
from ml.gate.checks.parity import agreement_checks, budget_checks, parity_checks
from ml.gate.checks.serving import serving_checks
from ml.gate.checks.slices import slice_checks
from ml.gate.policy import Policy, parse_policy
from ml.gate.records import Record
from ml.gate.reports.data import DataReport
from ml.gate.reports.evaluation import Evaluation
from ml.gate.reports.parity import Parity
from ml.gate.reports.serving import Serving
from ml.gate.waivers import apply_waivers

REPORTS = ("data_report", "evaluation", "parity", "serving")
R = TypeVar("R", bound=Record)


class Verdict(Record):
    """All checks, and whether none of them blocks."""

    passed: bool
    checks: tuple[Check, ...]

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that block, in the order of the policy."""
        return tuple(check for check in self.checks if check.blocks)

    @property
    def warnings(self) -> tuple[Check, ...]:
        """The checks that failed and only warn."""
        return tuple(check for check in self.checks if not check.passed and check.level == "warn")

    @property
    def waived(self) -> tuple[Check, ...]:
        """The checks that failed and were let through by somebody."""
        return tuple(check for check in self.checks if check.waiver)

    @property
    def summary(self) -> str:
        """How it came out, in a line: how many checks passed, or which block and why."""
        if self.passed:
            return f"passed: {sum(check.passed for check in self.checks)} checks{self.aside}"
        reasons = "; ".join(f"{check.name}: {check.reason}" for check in self.failures)
        return f"blocked: {len(self.failures)} of {len(self.checks)} checks failed: {reasons}"

    def to_markdown(self) -> str:
        """Return the verdict as Markdown: its summary, and a table of the checks that did not pass."""
        lines = [f"# Self-check: {'passed' if self.passed else 'blocked'}", ""]
        unmet = [check for check in self.checks if not check.passed]
        if unmet:
            lines += ["| check | value | bound | level | reason |", "|---|---|---|---|---|"]
            lines += [
                f"| {check.name} | {_cell(check.value)} | {check.relation} {_cell(check.bound)} | "
                f"{'waived' if check.waiver else check.level} | {_cell(check.reason)} |"
                for check in unmet
            ]
            lines += [""]
        lines += [f"{sum(check.passed for check in self.checks)} of {len(self.checks)} checks passed.", ""]
        return "\n".join(lines)

    @property
    def aside(self) -> str:
        """What a summary adds to how many checks passed: how many only warn, and how many are waived."""
        counted = {"warn": len(self.warnings), "waived": len(self.waived)}
        return "".join(f", {count} {word}" for word, count in counted.items() if count)


def _cell(value: float | str) -> str:
    """Write a value so that it stays within its cell of a Markdown table."""
    text = f"{value:.6g}" if isinstance(value, float) else " ".join(value.split())
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def decide(reports: Mapping[str, Any], policy_text: str, day: datetime.date) -> Verdict:
    """Decide from the reports alone.

    Args:
        reports: the parsed JSON of each of `REPORTS`; ``{"unreadable": reason}`` where it could not be read.
        policy_text: the policy as YAML.
        day: the day (UTC) of the decision: waivers end.
    """
    try:
        policy = parse_policy(policy_text)
    except ValueError as error:
        return sum_up([readable("policy", "unreadable", str(error))])
    return sum_up(apply_waivers(_checks(reports, policy), policy.waivers, day))


def _checks(reports: Mapping[str, Any], policy: Policy) -> Iterator[Check]:
    data, data_check = _load(DataReport, "data_report", reports)
    evaluation, evaluation_check = _load(Evaluation, "evaluation", reports)
    parity, parity_check = _load(Parity, "parity", reports)
    serving, serving_check = _load(Serving, "serving", reports)
    yield from (data_check, evaluation_check, parity_check, serving_check)
    if data:
        yield from data_checks(data, policy.data)
        yield from drift_checks(data, policy.drift)
    if evaluation:
        yield from evaluation_checks(evaluation, policy.evaluation)
        # A snapshot has too few test songs to compare two models on; the judge has more, and decides.
        level: Level = "warn" if data and data.tables == "snapshot" else "block"
        yield from champion_checks(evaluation, policy.champion, level)
        yield from slice_checks(evaluation, policy.slices)
    if parity:
        yield from parity_checks(parity, policy.parity)
        yield from budget_checks(parity, policy.budget)
    if serving:
        yield from serving_checks(serving, policy.serving, policy.parity)
    if evaluation and parity:
        yield from agreement_checks(evaluation, parity, policy.parity)


def sum_up(checks: Iterable[Check]) -> Verdict:
    """Return the verdict that follows from checks: none at all block, too."""
    found = tuple(checks)
    return Verdict(passed=bool(found) and not any(check.blocks for check in found), checks=found)


def _load(kind: type[R], name: str, reports: Mapping[str, Any]) -> tuple[R | None, Check]:
    raw = reports.get(name)
    if raw is None:
        return None, readable(name, "missing", f"the report {name} is missing")
    if isinstance(raw, dict) and set(raw) == {"unreadable"}:
        return None, readable(name, "unreadable", str(raw["unreadable"]))
    try:
        return kind.load(raw), readable(name, "readable", "")
    except (TypeError, ValueError) as error:
        return None, readable(name, "malformed", f"{name}.{error}")

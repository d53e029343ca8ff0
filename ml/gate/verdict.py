"""Reports and a policy in, a verdict out: the one place where it is decided whether a model may pass.

`decide` never raises for what it is given. Whatever is missing, unreadable or of another version becomes a
failed check with its reason, and one failed check blocks. The checks are thresholds on what was measured: who
measured it decides what the verdict is worth. In a run the commit's own code did, and the verdict is a
self-check; the judge's attestation (`ml.judge`) decides about promotion.
"""

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from ml.core.records import Record
from ml.gate.check import Check, readable
from ml.gate.policy import parse_policy
from ml.gate.registry import all_checks
from ml.gate.waivers import apply_waivers


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
            return f"passed: {sum(check.passed for check in self.checks)} checks{self.remarks}"
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
    def remarks(self) -> str:
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
        reports: the parsed JSON of each of `ml.gate.registry.REPORTS`; ``{"unreadable": reason}`` where it
            could not be read.
        policy_text: the policy as YAML.
        day: the day (UTC) of the decision: waivers end.
    """
    try:
        policy = parse_policy(policy_text)
    except ValueError as error:
        return sum_up([readable("policy", "unreadable", str(error))])
    return sum_up(apply_waivers(all_checks(reports, policy), policy.waivers, day))


def sum_up(checks: Iterable[Check]) -> Verdict:
    """Return the verdict that follows from checks: none at all block, too."""
    all_checks = tuple(checks)
    return Verdict(
        passed=bool(all_checks) and not any(check.blocks for check in all_checks), checks=all_checks
    )

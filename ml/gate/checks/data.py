"""Checks of the data report: each check of the contract is there, once, and passes."""

from collections.abc import Iterator

from ml.gate.checks.check import Check, compare, readable
from ml.gate.reports.data import DataReport
from ml.gate.thresholds import DataPolicy


def data_checks(data: DataReport, policy: DataPolicy) -> Iterator[Check]:
    """Check the data report."""
    names = [check.name for check in data.checks]
    for name in dict.fromkeys((*policy.required_checks, *names)):
        if names.count(name) != 1:
            found = "missing from" if name not in names else "more than once in"
            yield readable(f"data.{name}", "unclear", f"the check is {found} the data report")
            continue
        check = data.checks[names.index(name)]
        decided = compare(f"data.{name}", check.value, check.relation, check.bound, check.detail)
        if decided.passed and not check.passed:
            decided = decided.model_copy(
                update={"passed": False, "reason": f"reported as failed: {check.detail}"}
            )
        yield decided

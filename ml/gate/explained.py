"""A policy explained: each threshold with its value, its unit, and the reason for its default."""

from collections.abc import Mapping
from typing import Any

from ml.core.records import Record, Text
from ml.gate.policy import Default, Policy, declared


class Threshold(Record):
    """One threshold: its dotted name, value, unit, and why the default is what it is."""

    name: Text
    value: float | int | str | tuple[str | float | int, ...]
    default: float | int | str | tuple[str | float | int, ...]
    unit: Text
    reason: Text

    @property
    def shown(self) -> str:
        """The value as a person reads it."""
        values = self.value if isinstance(self.value, tuple) else (self.value,)
        return ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)


def explain(policy: Policy, problem: Mapping[str, Default]) -> list[Threshold]:
    """Return every threshold of a policy, in the order of the default policy, with its unit and reason.

    Args:
        policy: what is explained.
        problem: the problem's defaults, as for `ml.gate.policy.declared`.
    """
    values = policy.to_json()
    return [
        Threshold(
            name=f"{section}.{key}",
            value=_frozen(values[section][key]),
            default=_frozen(default),
            unit=unit,
            reason=reason,
        )
        for section, thresholds in declared(problem).items()
        for key, default, unit, reason in thresholds
    ]


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value

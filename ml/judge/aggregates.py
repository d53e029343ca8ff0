"""Make reports fit to leave the judge: aggregate numbers only, and nothing that tells of one sealed example.

A model chooses its answers, so it could write what it is asked about into the digits of a number, and a total
less all parts that are told is the part that is not. So numbers are rounded, small parts are left out, and no
part is left out alone. A text that the measured process has written is no longer than a line.
"""

from collections.abc import Mapping
from decimal import ROUND_UP, Context
from typing import Any

from ml.core.records import Record
from ml.onnx.runtime_answers import EXAMPLES

FEWEST = 5
"""Examples behind a number that may leave; the policy judges no slices of fewer anyway."""

DIGITS = 5
"""Decimals of a measured value; parity compares metrics to 1e-4."""

SLICE_DIGITS = 3
"""Decimals of a slice's gain and its error, in nats."""

FURTHEST = ("max_difference", "p99_difference", "worst_ratio", "row_sum_error")
"""Numbers of a family that one example decides."""

LONGEST = 300
"""Characters of a text that may leave."""


def aggregate(reports: Mapping[str, Record]) -> dict[str, Any]:
    """Return reports as JSON, without what is about single examples.

    Slices of fewer than `FEWEST` examples are left out, with the smallest other of their family where it
    would be one alone; scores by class are left out whole, and which sealed row a runtime answers worst.
    """
    shown: dict[str, Any] = {name: shortened(report.to_json()) for name, report in reports.items()}
    slices = shown["evaluation"].pop("slices")
    shown["evaluation"] = {**rounded(shown["evaluation"], DIGITS), "classes": {}}
    shown["evaluation"]["slices"] = {**slices, "slices": [_coarse(one) for one in _told(slices["slices"])]}
    for runtime in shown["parity"]["runtimes"]:
        runtime["metrics"] = rounded(runtime["metrics"], DIGITS)
        for family in runtime["families"]:
            if family["name"] == EXAMPLES:
                family |= {"worst_row": "", **{name: up(family[name]) for name in FURTHEST}}
    for batch in shown["serving"]["batches"]:
        batch["max_difference"] = up(batch["max_difference"])
    return shown


def up(value: float) -> float:
    """Return a number of two digits that is not below a number: a bound still holds against it."""
    return float(Context(prec=2, rounding=ROUND_UP).create_decimal_from_float(value)) if value else value


def _told(slices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the slices that may leave: never all but one of a family."""
    hidden = {one["name"] for one in slices if one["examples"] < FEWEST}
    families: dict[str, list[dict[str, Any]]] = {}
    for one in slices:
        families.setdefault(one["name"].partition("=")[0], []).append(one)
    for parts in families.values():
        left = [one for one in parts if one["name"] not in hidden]
        if len(parts) - len(left) == 1 and left:
            hidden.add(min(left, key=lambda one: (one["examples"], one["name"]))["name"])
    return [one for one in slices if one["name"] not in hidden]


def _coarse(part: dict[str, Any]) -> dict[str, Any]:
    return {
        **part,
        **{name: round(part[name], SLICE_DIGITS) for name in ("gain", "standard_error")},
        "p_value": round(part["p_value"], DIGITS),
    }


def rounded(value: Any, digits: int) -> Any:
    """Return JSON in which no number has more decimals."""
    if isinstance(value, float):
        return round(value, digits)
    if isinstance(value, dict):
        return {key: rounded(one, digits) for key, one in value.items()}
    return [rounded(one, digits) for one in value] if isinstance(value, list) else value


def shortened(value: Any) -> Any:
    """Return JSON in which no text is longer than `LONGEST`."""
    if isinstance(value, str):
        return value[:LONGEST]
    if isinstance(value, dict):
        return {shortened(key): shortened(one) for key, one in value.items()}
    return [shortened(one) for one in value] if isinstance(value, list) else value

"""Make reports fit to leave the judge: aggregate numbers only, and nothing that tells of one sealed song.

A country with one sealed song has that song's loss for its own. A text that the measured process has written
could hold anything, so none is longer than a line.
"""

from collections.abc import Mapping
from typing import Any

from ml.gate.records import Record
from ml.model.runtime_answers import SONGS

FEWEST = 5
"""Songs behind a number that may leave; slices of fewer than the policy's minimum are not judged anyway."""

LONGEST = 300
"""Characters of a text that may leave."""


def aggregate(reports: Mapping[str, Record]) -> dict[str, Any]:
    """Return reports as JSON, without what is about single songs.

    Countries and slices of fewer than `FEWEST` songs are left out, and which sealed row a runtime answers
    worst is not told.
    """
    found: dict[str, Any] = {name: shortened(report.to_json()) for name, report in reports.items()}
    evaluation = found["evaluation"]
    evaluation["countries"] = {
        name: one for name, one in evaluation["countries"].items() if one["songs"] >= FEWEST
    }
    slices = evaluation["slices"]
    slices["slices"] = [one for one in slices["slices"] if one["songs"] >= FEWEST]
    for runtime in found["parity"]["runtimes"]:
        for family in runtime["families"]:
            if family["name"] == SONGS:
                family["worst_row"] = ""
    return found


def shortened(value: Any) -> Any:
    """Return JSON in which no text is longer than `LONGEST`."""
    if isinstance(value, str):
        return value[:LONGEST]
    if isinstance(value, dict):
        return {shortened(key): shortened(one) for key, one in value.items()}
    return [shortened(one) for one in value] if isinstance(value, list) else value

"""Checks of the slices: those that must be there are, and none is shown to be below the floor."""

import fnmatch
from collections.abc import Iterator, Sequence

from ml.gate.checks.check import Check, compare, readable
from ml.gate.multiple import rejected
from ml.gate.reports.evaluation import Evaluation
from ml.gate.reports.slices import Slice
from ml.gate.thresholds import SlicesPolicy

NAMED = 3
"""A reason names so many slices: the worst."""


def slice_checks(report: Evaluation, bounds: SlicesPolicy) -> Iterator[Check]:
    """Check the slices of an evaluation."""
    found = report.slices.slices
    for pattern in dict.fromkeys(bounds.required):
        name = f"slices.required.{pattern}"
        songs = [part.songs for part in found if fnmatch.fnmatchcase(part.name, pattern)]
        if songs:
            few = f"the required slice {pattern} has too few test songs to be judged"
            yield compare(name, max(songs), ">=", bounds.min_songs, few)
        else:
            yield readable(name, "missing", f"the required slice {pattern} is missing")
    # Slices with less support are not judged, and do not make the judgement of the others harder.
    judged = [part for part in found if part.songs >= bounds.min_songs]
    yield compare(
        "slices.measured_floor",
        report.slices.floor,
        ">=",
        bounds.floor_gain_over_prior_nats,
        "the p-values are about a lower floor than the policy's",
    )
    yield compare(
        "slices.smallest_p",
        report.slices.resampling.smallest_p,
        "<=",
        bounds.alpha / max(1, len(judged)),
        f"too few resamples for {len(judged)} slices: no p-value could be small enough",
    )
    below = [judged[index] for index in rejected([p.p_value for p in judged], bounds.alpha, bounds.method)]
    yield compare(
        "slices.floor",
        len(below),
        "==",
        0,
        f"shown to gain less than {report.slices.floor:g} nats over the prior: {_worst(below)}",
    )
    others = [part for part in judged if part not in below]
    weak = [part for part in others if part.gain < report.slices.floor]
    yield compare(
        "slices.worst",
        min((part.gain for part in others), default=report.slices.floor),
        ">=",
        report.slices.floor,
        f"below {report.slices.floor:g} nats over the prior, but maybe by chance: {_worst(weak)}",
        level="warn",
    )


def _worst(slices: Sequence[Slice]) -> str:
    named = sorted(slices, key=lambda part: part.gain)
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return ", ".join(part.text for part in named[:NAMED]) + more

"""Checks of the slices: those that must be there are, all add up, and none is shown to be below the floor."""

import fnmatch
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ml.gate.checks.check import Check, compare, readable
from ml.gate.multiple import rejected
from ml.gate.records import ROUNDING
from ml.gate.reports.evaluation import Evaluation
from ml.gate.reports.slices import Slice
from ml.gate.thresholds import SlicesPolicy

NAMED = 3
"""A reason names so many slices: the worst."""


def slice_checks(report: Evaluation, bounds: SlicesPolicy) -> Iterator[Check]:
    """Check the slices of an evaluation."""
    yield from _consistency(report)
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


def _consistency(report: Evaluation) -> Iterator[Check]:
    """Check that the slices are of this evaluation: they restate some of its numbers, and split others."""
    found = report.slices.slices
    odd = [
        part.name
        for part in found
        if not (part.songs <= report.songs and part.songs <= part.rows <= report.rows)
    ]
    yield compare("slices.sizes", len(odd), "==", 0, f"larger than the test split: {odd[:NAMED]}")
    countries = {part.name: part for part in found if part.family == "country"}
    scored = {f"country={name}": score for name, score in report.countries.items()}
    off = [
        name
        for name in sorted({*countries, *scored})
        if name not in countries
        or name not in scored
        or (countries[name].rows, countries[name].songs) != (scored[name].rows, scored[name].songs)
    ]
    yield compare(
        "slices.countries.rows", len(off), "==", 0, f"not the countries that were scored: {off[:NAMED]}"
    )
    yield compare(
        "slices.countries.all_rows",
        sum(score.rows for score in scored.values()),
        "==",
        report.rows,
        "the countries' chart rows are not all chart rows",
    )
    differences = {
        name: abs(countries[name].gain - (scored[name].prior_log_loss - scored[name].log_loss))
        for name in countries
        if name in scored
    }
    furthest = max(differences, key=lambda name: differences[name], default="")
    yield compare(
        "slices.countries.gain",
        differences.get(furthest, 0.0),
        "<=",
        ROUNDING,
        f"the gain of {furthest} is not the difference of its log losses",
    )
    halves, decades, ages = (_whole(found, family) for family in ("explicit", "decade", "released"))
    whole = _Whole(report.songs, report.rows, report.gain_over_prior.value)
    yield from _same("explicit", halves, whole, "explicit songs and the others are not all test songs")
    yield from _same("released", ages, decades, "songs by age are not the songs by decade")


class _Whole(NamedTuple):
    """Songs, chart rows, and gain a chart row of all slices of a family, no two of which share a song."""

    songs: int
    rows: int
    gain: float


def _whole(slices: Sequence[Slice], family: str) -> _Whole:
    parts = [part for part in slices if part.family == family]
    rows = sum(part.rows for part in parts)
    gain = sum(part.gain * part.rows for part in parts) / max(1, rows)
    return _Whole(sum(part.songs for part in parts), rows, gain)


def _same(family: str, found: _Whole, expected: _Whole, reason: str) -> Iterator[Check]:
    off = abs(found.rows - expected.rows) + abs(found.songs - expected.songs)
    yield compare(f"slices.{family}.rows", off, "==", 0, reason)
    yield compare(
        f"slices.{family}.gain",
        abs(found.gain - expected.gain),
        "<=",
        ROUNDING,
        f"the gains by {family} make {found.gain:.6g}, not {expected.gain:.6g}",
    )

"""Slices: what the model is worth on each part of the test songs; none may be shown to be below the floor."""

import fnmatch
from collections.abc import Iterator, Sequence
from typing import Annotated, Self

from pydantic import Field, model_validator

from ml.core.records import Count, Names, NonNegative, Number, Record, Share
from ml.gate.check import Check, compare, readable
from ml.gate.multiple import Method, rejected
from ml.gate.resampling import Resampling
from ml.gate.threshold import threshold

SliceName = Annotated[str, Field(pattern=r"^[a-z]+=\S(.*\S)?$")]


class Slice(Record):
    """One slice, ``family=value``: a country's chart rows, or all chart rows of some songs.

    Attributes:
        name: such as ``country=BR``, ``explicit=yes``, ``decade=1990s``, ``released=this year``.
        songs: test songs with chart rows in the slice.
        rows: those chart rows.
        gain: the prior's log loss minus the model's on those rows, in nats a chart row.
        standard_error: of the gain; 0 for one song.
        p_value: one-sided, of "the true gain is at least the floor" of `Slices`; 1 where the gain is.
    """

    name: SliceName
    songs: Annotated[Count, Field(ge=1)]
    rows: Annotated[Count, Field(ge=1)]
    gain: Number
    standard_error: NonNegative
    p_value: Share

    @property
    def family(self) -> str:
        """What comes before the equals sign."""
        return self.name.partition("=")[0]

    @property
    def text(self) -> str:
        """The slice in some words, for a reason or a headline."""
        return f"{self.name} {self.gain:+.3f} nats ({self.songs} songs)"


class Slices(Record):
    """All slices that have test songs, the floor (nats) of their p-values, and how these were made."""

    floor: Number
    resampling: Resampling
    slices: tuple[Slice, ...]

    @model_validator(mode="after")
    def _once(self) -> Self:
        names = [part.name for part in self.slices]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"slice {twice[0]} stands twice")
        return self


class SlicesPolicy(Record):
    """What the model must be worth on each part of the test songs."""

    required: Names = threshold(
        ("explicit=yes", "explicit=no"),
        "names",
        "Slices that must be in the evaluation with support, `*` for any part of a name. Explicit songs "
        "are a fifth of the charts and sound different; which countries and years there are depends on "
        "the data.",
    )
    min_songs: Annotated[int, Field(ge=2)] = threshold(
        20,
        "songs",
        "A slice of fewer test songs is not judged: where a few songs carry the whole gain, the p-values "
        "of ten songs block good models again and again. Six days of real charts give a country 7 to 21.",
    )
    floor_gain_over_prior_nats: Number = threshold(
        -0.25,
        "nats per chart row",
        "No slice may be shown to have a smaller (prior's log loss - model's). The p-values are about "
        "this number (`FLOOR` of ml/model/slices.py): a higher one here blocks, a lower one changes "
        "nothing. Below zero since a model that wins on average may lose a little somewhere: on six days "
        "of real charts the true gain of a country is known to 0.2 nats, and a model that is lost in a "
        "country loses whole nats.",
    )
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = threshold(
        0.05,
        "share",
        "The error rate of all slices together, in the sense of the method below.",
    )
    method: Method = threshold(
        "holm",
        "holm or benjamini-hochberg",
        "How the many tests count as one. Holm: a model that is above the floor everywhere is blocked by "
        "any slice with probability alpha at most. Benjamini-Hochberg blocks more often: of the slices "
        "that it names, a share of alpha is wrong.",
    )


NAMED = 3
"""A reason names so many slices: the worst."""


def slice_checks(report: Slices, bounds: SlicesPolicy) -> Iterator[Check]:
    """Check the slices of an evaluation."""
    found = report.slices
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
        report.floor,
        ">=",
        bounds.floor_gain_over_prior_nats,
        "the p-values are about a lower floor than the policy's",
    )
    yield compare(
        "slices.smallest_p",
        report.resampling.smallest_p,
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
        f"shown to gain less than {report.floor:g} nats over the prior: {_worst(below)}",
    )
    others = [part for part in judged if part not in below]
    weak = [part for part in others if part.gain < report.floor]
    yield compare(
        "slices.worst",
        min((part.gain for part in others), default=report.floor),
        ">=",
        report.floor,
        f"below {report.floor:g} nats over the prior, but maybe by chance: {_worst(weak)}",
        level="warn",
    )


def _worst(slices: Sequence[Slice]) -> str:
    named = sorted(slices, key=lambda part: part.gain)
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return ", ".join(part.text for part in named[:NAMED]) + more

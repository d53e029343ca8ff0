"""Slices: what the model is worth on each part of the test examples; none may be below the floor."""

import fnmatch
from collections.abc import Iterator, Sequence
from typing import Annotated, Self

from pydantic import Field, model_validator

from ml.core.records import Count, Names, NonNegative, Number, Record, Share
from ml.gate.check import Check, compare, readable
from ml.gate.multiple import Method, rejected
from ml.gate.nouns import Nouns
from ml.gate.resampling import Resampling
from ml.gate.threshold import threshold

SliceName = Annotated[str, Field(pattern=r"^[a-z]+=\S(.*\S)?$")]


class Slice(Record):
    """One slice, ``family=value``: the rows of a class, or all rows of some examples.

    Attributes:
        name: such as ``class=7`` or ``size=large``.
        examples: test examples with rows in the slice.
        rows: those rows.
        gain: the prior's log loss minus the model's on those rows, in nats a row.
        standard_error: of the gain; 0 for one example.
        p_value: one-sided, of "the true gain is at least the floor" of `Slices`; 1 where the gain is.
    """

    name: SliceName
    examples: Annotated[Count, Field(ge=1)]
    rows: Annotated[Count, Field(ge=1)]
    gain: Number
    standard_error: NonNegative
    p_value: Share

    def text(self, nouns: Nouns) -> str:
        """Return the slice in some words, for a reason or a headline."""
        return f"{self.name} {self.gain:+.3f} nats ({self.examples} {nouns.examples})"


class Slices(Record):
    """All slices that have test examples, the floor (nats) of their p-values, and how these were made."""

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
    """What the model must be worth on each part of the test examples."""

    required: Names = threshold(
        ("*",),
        "names",
        "Slices that must be in the evaluation with support, `*` for any part of a name.",
    )
    min_examples: Annotated[int, Field(ge=2)] = threshold(
        20,
        "examples",
        "A slice of fewer test examples is not judged: where a few examples carry the whole gain, the "
        "p-values of ten examples block good models again and again.",
    )
    floor_gain_over_prior_nats: Number = threshold(
        -0.25,
        "nats per row",
        "No slice may be shown to have a smaller (prior's log loss - model's). The p-values are about "
        "this number (`FLOOR` of ml/measure/slices.py): a higher one here blocks, a lower one changes "
        "nothing. Below zero since a model that wins on average may lose a little somewhere, and what a "
        "model gains on a small slice is known to some tenths only. A model that fails on a slice loses "
        "whole nats.",
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


def slice_checks(report: Slices, bounds: SlicesPolicy, nouns: Nouns) -> Iterator[Check]:
    """Check the slices of an evaluation."""
    slices = report.slices
    for pattern in dict.fromkeys(bounds.required):
        name = f"slices.required.{pattern}"
        examples = [part.examples for part in slices if fnmatch.fnmatchcase(part.name, pattern)]
        if examples:
            few = f"the required slice {pattern} has too few test {nouns.examples} to be judged"
            yield compare(name, max(examples), ">=", bounds.min_examples, few)
        else:
            yield readable(name, "missing", f"the required slice {pattern} is missing")
    # Slices with less support are not judged, and do not make the judgement of the others harder.
    judged = [part for part in slices if part.examples >= bounds.min_examples]
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
        f"shown to gain less than {report.floor:g} nats over the prior: {_worst(below, nouns)}",
    )
    others = [part for part in judged if part not in below]
    weak = [part for part in others if part.gain < report.floor]
    yield compare(
        "slices.worst",
        min((part.gain for part in others), default=report.floor),
        ">=",
        report.floor,
        f"below {report.floor:g} nats over the prior, but maybe by chance: {_worst(weak, nouns)}",
        level="warn",
    )


def _worst(slices: Sequence[Slice], nouns: Nouns) -> str:
    named = sorted(slices, key=lambda part: part.gain)
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return ", ".join(part.text(nouns) for part in named[:NAMED]) + more

"""How two models were compared on resampled examples, and the bounds that came out."""

from typing import Annotated

from pydantic import Field

from ml.core.records import Count, NonNegative, Number, Record

JUDGED_AT = 0.5
"""The share of alpha at which bounds are taken; the rest pays for tails that a small sample lacks."""


class Resampling(Record):
    """How the bounds are made: examples are resampled, not rows; ``alpha`` is the error of one bound."""

    resamples: Count
    alpha: Annotated[float, Field(gt=0, lt=0.5)]
    seed: Annotated[int, Field(ge=0)]

    @property
    def smallest_p(self) -> float:
        """The smallest p-value that so many resamples can give."""
        return min(1.0, 1 / (JUDGED_AT * (self.resamples + 1)))


class Estimate(Record):
    """A measured value, its standard error, and one lower and one upper bound of the true value.

    Each bound alone is wrong with a probability of at most the alpha of its `Resampling`.
    """

    value: Number
    standard_error: NonNegative
    low: Number
    high: Number

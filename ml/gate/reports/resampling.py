"""How a bootstrap was made, and the one-sided bounds that it gave."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from ml.gate.records import ROUNDING, Count, NonNegative, Number, Record

JUDGED_AT = 0.5
"""The share of alpha at which bounds are taken; the rest pays for tails that a small sample lacks."""


class Resampling(Record):
    """How the bounds were made: songs are resampled; each bound is wrong with probability ``alpha``."""

    resamples: Count
    alpha: Annotated[float, Field(gt=0, lt=0.5)]
    seed: Annotated[int, Field(ge=0)]


class Bounds(Record):
    """A measured value, its standard error, and its one-sided lower and upper bounds."""

    value: Number
    standard_error: NonNegative
    low: Number
    high: Number

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low - ROUNDING <= self.value <= self.high + ROUNDING:
            raise ValueError("the value lies outside of its bounds")
        return self

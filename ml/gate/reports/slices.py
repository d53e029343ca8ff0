"""The slices of the evaluation: what the model is worth where it matters, part by part of the test songs."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from ml.gate.records import Count, NonNegative, Number, Record, Share
from ml.gate.reports.resampling import Resampling

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

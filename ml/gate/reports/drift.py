"""Drift: how far the tables of this run are from those that the champion was trained on.

Before is the champion's, after is this run's. Each number is what the step `validate` measured between two
profiles (`ml.data.profile`); what is too far is for the policy to say.
"""

from typing import Annotated, Self

from pydantic import Field, model_validator

from ml.gate.records import Count, Digest, NonNegative, Record, Share, Text

KNOWN_SONGS = 4000
"""A profile knows so many songs at most: those of the smallest hashes, so that two know the same ones."""

Correlation = Annotated[float, Field(ge=0, le=2)]


class FeatureDrift(Record):
    """How far one feature has moved over the songs that chart.

    ``psi`` is the population stability index in nats over the champion's deciles, ``ks`` the largest
    distance of the two distribution functions.
    """

    psi: NonNegative
    ks: Share


class Volume(Record):
    """How much there is: songs that chart, national chart rows, and days with charts."""

    songs: Annotated[int, Field(ge=1)]
    rows: Annotated[int, Field(ge=1)]
    days: Annotated[int, Field(ge=1)]


class Measured(Record):
    """The measured drift.

    ``country_shift`` is the total variation distance of the countries' shares of chart rows, and
    ``lost_share`` what share of the champion's rows came from countries that are gone.
    ``correlation_change`` is the largest change of a rank correlation of two features, ``correlated`` which.
    Of the ``known_songs``, which both tables hold, ``changed_songs`` have other features now, and
    ``moved_songs`` chart most in another country. ``twins`` is the share of songs whose features another
    song of the table has too.
    """

    before: Volume
    after: Volume
    trained_on_synthetic: bool
    features: Annotated[dict[str, FeatureDrift], Field(min_length=1)]
    country_shift: Share
    lost_countries: tuple[str, ...]
    new_countries: tuple[str, ...]
    lost_share: Share
    correlation_change: Correlation
    correlated: Text
    known_songs: Count
    changed_songs: Count
    moved_songs: Count
    twins_before: Share
    twins_after: Share


class Drift(Record):
    """The comparison with a champion's training data, or why there is none (it has no profile)."""

    champion: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    profile_digest: Digest
    not_compared: str
    measured: Measured | None

    @model_validator(mode="after")
    def _either(self) -> Self:
        if bool(self.not_compared) == bool(self.measured):
            raise ValueError("there must be either numbers or the reason why there are none")
        return self

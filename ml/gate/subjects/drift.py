"""Drift: how far the tables are from those that the champion was trained on, and how far they may be.

Before is the champion's, after is this run's. Each number was measured between two profiles
(`ml.data.profile`), and has two bounds: beyond one the check warns, beyond the other it blocks. A champion
of synthetic data says nothing about real tables, so beside it every check only warns: otherwise nobody could
leave the sample. Synthetic data after real data always blocks.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator

from ml.core.canonical import digest
from ml.core.records import Count, Digest, Names, NonNegative, Record, Share, Text
from ml.gate.check import Check, Level, Relation, compare, readable
from ml.gate.threshold import threshold

WAIVABLE = (
    "drift.psi",
    "drift.ks",
    "drift.country_shift",
    "drift.lost_countries",
    "drift.correlation",
    "drift.changed_songs",
    "drift.moved_songs",
    "drift.twins",
    "drift.volume",
    "drift.growth",
)

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


class DriftPolicy(Record):
    """How far the tables may be from those that the champion was trained on."""

    required_features: Names = threshold(
        (
            "is_explicit",
            "duration_ms",
            "danceability",
            "energy",
            "key",
            "loudness",
            "mode",
            "speechiness",
            "acousticness",
            "instrumentalness",
            "liveness",
            "valence",
            "tempo",
        ),
        "names",
        "The features that must have been compared: all inputs of the model.",
    )
    psi_warn: NonNegative = threshold(
        0.1,
        "nats",
        "Population stability index of the worst feature. The real charts of six days give 0.02 between "
        "their halves by day and up to 0.05 between halves of their songs; below 0.1 is commonly called "
        "stable.",
    )
    psi_block: NonNegative = threshold(
        0.25,
        "nats",
        "Above 0.25 a population is commonly called another one; one feature a tenth too large gives 0.16.",
    )
    ks_warn: Share = threshold(
        0.1,
        "share",
        "Kolmogorov-Smirnov distance of the worst feature. Halves of the real charts' songs give up to 0.07.",
    )
    ks_block: Share = threshold(
        0.2,
        "share",
        "One feature of the real charts that is a tenth too large gives 0.16, and one twice as large 0.8.",
    )
    country_shift_warn: Share = threshold(
        0.2,
        "share of chart rows",
        "Total variation of the countries' shares: 0.10 between halves of the real charts by day, of "
        "which one lacks half a day, and 0.13 between halves of their songs.",
    )
    country_shift_block: Share = threshold(
        0.33,
        "share of chart rows",
        "A third of the charts elsewhere is another market.",
    )
    lost_share_warn: Share = threshold(
        0.01,
        "share of chart rows",
        "What the champion knew of countries that are gone. One of 72 countries is 0.014, and should be "
        "known.",
    )
    lost_share_block: Share = threshold(
        0.05,
        "share of chart rows",
        "More than three of 72 countries at once look like a feed that was cut off.",
    )
    correlation_warn: NonNegative = threshold(
        0.2,
        "change of Spearman's rho",
        "Largest change of any of the 78 correlations of two features: 0.04 between halves of the real "
        "charts by day, up to 0.15 between halves of their songs.",
    )
    correlation_block: NonNegative = threshold(
        0.3,
        "change of Spearman's rho",
        "Columns that are shuffled against each other change one by 0.7, as energy and loudness no longer "
        "go together.",
    )
    changed_songs_warn: Share = threshold(
        0.005,
        "share of returning songs",
        "A song's features are measured once: on the real charts none changes in six days, and a few may "
        "be analysed anew.",
    )
    changed_songs_block: Share = threshold(
        0.02,
        "share of returning songs",
        "A column or a join gone wrong changes nearly all.",
    )
    moved_songs_warn: Share = threshold(
        0.35,
        "share of returning songs",
        "Songs that chart most in another country than before: 0.17 between halves of the real charts by "
        "day.",
    )
    moved_songs_block: Share = threshold(
        0.6,
        "share of returning songs",
        "Countries that are shuffled over the charts move 0.99.",
    )
    twins_warn: Share = threshold(
        0.02,
        "share of songs",
        "How many more songs than before have exactly another's features. On the real charts 0.009 have: "
        "singles that are on an album too.",
    )
    twins_block: Share = threshold(
        0.05,
        "share of songs",
        "Songs that are copied under new ids.",
    )
    volume_warn: NonNegative = threshold(
        0.8,
        "times",
        "Chart rows and songs against the champion's, whichever is less: a window of the same length "
        "gives about 1.",
    )
    volume_block: NonNegative = threshold(
        0.6,
        "times",
        "A feed that was cut in half.",
    )
    growth_warn: NonNegative = threshold(
        1.5,
        "times",
        "Chart rows against the champion's: more is welcome, unless it is the same charts twice.",
    )
    growth_block: NonNegative = threshold(
        1.9,
        "times",
        "Twice as many are a feed that was read twice, or a decision to use a longer window, to be waived.",
    )
    known_songs_warn: Share = threshold(
        0.05,
        "share of songs",
        "With fewer returning songs than this, whether their features changed is hardly known.",
    )


NOTHING = digest(b"")
"""The digest of a profile that is not there."""


def drift_checks(found: Drift, bounds: DriftPolicy, *, synthetic: bool) -> Iterator[Check]:
    """Check the drift from the champion's tables; ``synthetic`` says of which kind this run's are."""
    yield _compared(found)
    if found.measured is None:
        return
    measured = found.measured
    yield compare(
        "drift.synthetic",
        synthetic and not measured.trained_on_synthetic,
        "==",
        0,
        "the data is synthetic, and the champion was trained on real charts",
    )
    lacking = sorted(set(bounds.required_features) - set(measured.features))
    yield compare("drift.features", len(lacking), "==", 0, f"not compared: {', '.join(lacking)}")
    from_sample = measured.trained_on_synthetic and not synthetic
    for check in _measures(measured, bounds):
        yield check.model_copy(update={"level": "warn"}) if from_sample else check


def _compared(found: Drift) -> Check:
    """Make the check that there are numbers; a champion without a profile is accepted with a warning."""
    absent = found.profile_digest == NOTHING
    check = readable(
        "drift.compared", "not compared" if found.not_compared else "readable", found.not_compared
    )
    return check.model_copy(update={"level": "warn"}) if absent else check


def _measures(measured: Measured, bounds: DriftPolicy) -> Iterator[Check]:
    before, after = measured.before, measured.after
    psi, ks = _worst(measured.features, "psi"), _worst(measured.features, "ks")
    known = max(measured.known_songs, 1)
    possible = min(before.songs, after.songs, KNOWN_SONGS)
    least = min(after.rows / before.rows, after.songs / before.songs)
    lost = ", ".join(measured.lost_countries[:5])
    moved = f"of {measured.known_songs} songs that were there before,"
    yield from _both("psi", psi[1], bounds.psi_warn, bounds.psi_block, f"{psi[0]} has PSI {psi[1]:.3g}")
    yield from _both("ks", ks[1], bounds.ks_warn, bounds.ks_block, f"{ks[0]} has KS {ks[1]:.3g}")
    yield from _both(
        "country_shift",
        measured.country_shift,
        bounds.country_shift_warn,
        bounds.country_shift_block,
        f"{measured.country_shift:.1%} of the chart rows moved to other countries",
    )
    yield from _both(
        "lost_countries",
        measured.lost_share,
        bounds.lost_share_warn,
        bounds.lost_share_block,
        f"gone are {lost}, with {measured.lost_share:.1%} of the champion's chart rows",
    )
    yield from _both(
        "correlation",
        measured.correlation_change,
        bounds.correlation_warn,
        bounds.correlation_block,
        f"{measured.correlated} go together differently, by {measured.correlation_change:.3g}",
    )
    yield from _both(
        "changed_songs",
        measured.changed_songs / known,
        bounds.changed_songs_warn,
        bounds.changed_songs_block,
        f"{moved} {measured.changed_songs} have other features now",
    )
    yield from _both(
        "moved_songs",
        measured.moved_songs / known,
        bounds.moved_songs_warn,
        bounds.moved_songs_block,
        f"{moved} {measured.moved_songs} chart most in another country now",
    )
    yield from _both(
        "twins",
        max(measured.twins_after - measured.twins_before, 0.0),
        bounds.twins_warn,
        bounds.twins_block,
        f"{measured.twins_after:.1%} of the songs have another's features, not {measured.twins_before:.1%}",
    )
    yield from _both(
        "volume",
        least,
        bounds.volume_warn,
        bounds.volume_block,
        f"{after.rows} chart rows of {after.songs} songs, before {before.rows} of {before.songs}",
        ">=",
    )
    yield from _both(
        "growth",
        after.rows / before.rows,
        bounds.growth_warn,
        bounds.growth_block,
        f"{after.rows} chart rows, before {before.rows}",
    )
    yield compare(
        "drift.known_songs",
        measured.known_songs / possible,
        ">=",
        bounds.known_songs_warn,
        f"only {measured.known_songs} songs were there before: changed features would hardly be noticed",
        "warn",
    )


def _worst(features: Mapping[str, FeatureDrift], measure: str) -> tuple[str, float]:
    name = max(features, key=lambda name: (getattr(features[name], measure), name))
    return name, getattr(features[name], measure)


def _both(
    name: str, value: float, warn: float, block: float, reason: str, relation: Relation = "<="
) -> Iterator[Check]:
    levels: tuple[tuple[str, float, Level], ...] = (
        (f"drift.{name}", block, "block"),
        (f"drift.{name}.early", warn, "warn"),
    )
    for check, bound, level in levels:
        yield compare(check, value, relation, bound, reason, level)

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
from ml.gate.nouns import Nouns
from ml.gate.threshold import threshold

WAIVABLE = (
    "drift.psi",
    "drift.ks",
    "drift.class_shift",
    "drift.lost_classes",
    "drift.correlation",
    "drift.changed_examples",
    "drift.moved_examples",
    "drift.twins",
    "drift.volume",
    "drift.growth",
)

KNOWN_EXAMPLES = 4000
"""A profile knows so many examples at most: those of the smallest hashes, so that two know the same ones."""

Correlation = Annotated[float, Field(ge=0, le=2)]


class FeatureDrift(Record):
    """How far one feature has moved over all examples.

    ``psi`` is the population stability index in nats over the champion's deciles, ``ks`` the largest
    distance of the two distribution functions.
    """

    psi: NonNegative
    ks: Share


class Volume(Record):
    """How much there is: examples, and rows of them."""

    examples: Annotated[int, Field(ge=1)]
    rows: Annotated[int, Field(ge=1)]


class Measured(Record):
    """The measured drift.

    ``class_shift`` is the total variation distance of the classes' shares of rows, and
    ``lost_share`` what share of the champion's rows came from classes that are gone.
    ``correlation_change`` is the largest change of a rank correlation of two features, ``correlated`` which.
    Of the ``known_examples``, which both tables hold, ``changed_examples`` have other features now, and
    ``moved_examples`` have most of their rows in another class. ``twins`` is the share of examples whose
    features another example of the table has too.
    """

    before: Volume
    after: Volume
    trained_on_synthetic: bool
    features: Annotated[dict[str, FeatureDrift], Field(min_length=1)]
    class_shift: Share
    lost_classes: tuple[str, ...]
    new_classes: tuple[str, ...]
    lost_share: Share
    correlation_change: Correlation
    correlated: Text
    known_examples: Count
    changed_examples: Count
    moved_examples: Count
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
        (),
        "names",
        "The features that must have been compared: all inputs of the model.",
    )
    psi_warn: NonNegative = threshold(
        0.1,
        "nats",
        "Population stability index of the worst feature; below 0.1 is commonly called stable.",
    )
    psi_block: NonNegative = threshold(
        0.25,
        "nats",
        "Above 0.25 a population is commonly called another one; one feature a tenth too large gives 0.16.",
    )
    ks_warn: Share = threshold(
        0.1,
        "share",
        "Kolmogorov-Smirnov distance of the worst feature.",
    )
    ks_block: Share = threshold(
        0.2,
        "share",
        "One feature that is twice as large gives 0.8.",
    )
    class_shift_warn: Share = threshold(
        0.2,
        "share of rows",
        "Total variation of the classes' shares.",
    )
    class_shift_block: Share = threshold(
        0.33,
        "share of rows",
        "A third of the rows in other classes is another population.",
    )
    lost_share_warn: Share = threshold(
        0.01,
        "share of rows",
        "What the champion knew of classes that are gone.",
    )
    lost_share_block: Share = threshold(
        0.05,
        "share of rows",
        "Several classes that are gone at once look like a feed that was cut off.",
    )
    correlation_warn: NonNegative = threshold(
        0.2,
        "change of Spearman's rho",
        "Largest change of the correlation of any two features.",
    )
    correlation_block: NonNegative = threshold(
        0.3,
        "change of Spearman's rho",
        "Columns that are shuffled against each other change one by 0.7.",
    )
    changed_examples_warn: Share = threshold(
        0.005,
        "share of returning examples",
        "The features of an example are measured once; a few may be measured anew.",
    )
    changed_examples_block: Share = threshold(
        0.02,
        "share of returning examples",
        "A column or a join gone wrong changes nearly all.",
    )
    moved_examples_warn: Share = threshold(
        0.35,
        "share of returning examples",
        "Examples that have most of their rows in another class than before.",
    )
    moved_examples_block: Share = threshold(
        0.6,
        "share of returning examples",
        "Classes that are shuffled over the rows move nearly all.",
    )
    twins_warn: Share = threshold(
        0.02,
        "share of examples",
        "How many more examples than before have exactly another's features.",
    )
    twins_block: Share = threshold(
        0.05,
        "share of examples",
        "Examples that are copied under new ids.",
    )
    volume_warn: NonNegative = threshold(
        0.8,
        "times",
        "Rows and examples against the champion's, whichever is less: a window of the same length "
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
        "Rows against the champion's: more is welcome, unless it is the same rows twice.",
    )
    growth_block: NonNegative = threshold(
        1.9,
        "times",
        "Twice as many are a feed that was read twice, or a decision to use a longer window, to be waived.",
    )
    known_examples_warn: Share = threshold(
        0.05,
        "share of examples",
        "With fewer returning examples than this, whether their features changed is hardly known.",
    )


NOTHING = digest(b"")
"""The digest of a profile that is not there."""


def drift_checks(drift: Drift, bounds: DriftPolicy, nouns: Nouns, *, synthetic: bool) -> Iterator[Check]:
    """Check the drift from the champion's tables; ``synthetic`` says of which kind this run's are."""
    yield _compared(drift)
    if drift.measured is None:
        return
    measured = drift.measured
    yield compare(
        "drift.synthetic",
        synthetic and not measured.trained_on_synthetic,
        "==",
        0,
        "the data is synthetic, and the champion was trained on real tables",
    )
    lacking = sorted(set(bounds.required_features) - set(measured.features))
    yield compare("drift.features", len(lacking), "==", 0, f"not compared: {', '.join(lacking)}")
    from_sample = measured.trained_on_synthetic and not synthetic
    for check in _measures(measured, bounds, nouns):
        yield check.model_copy(update={"level": "warn"}) if from_sample else check


def _compared(drift: Drift) -> Check:
    """Make the check that there are numbers; a champion without a profile is accepted with a warning."""
    absent = drift.profile_digest == NOTHING
    check = readable(
        "drift.compared", "not compared" if drift.not_compared else "readable", drift.not_compared
    )
    return check.model_copy(update={"level": "warn"}) if absent else check


def _measures(measured: Measured, bounds: DriftPolicy, nouns: Nouns) -> Iterator[Check]:
    before, after = measured.before, measured.after
    psi, ks = _worst(measured.features, "psi"), _worst(measured.features, "ks")
    known = max(measured.known_examples, 1)
    possible = min(before.examples, after.examples, KNOWN_EXAMPLES)
    least = min(after.rows / before.rows, after.examples / before.examples)
    lost = ", ".join(measured.lost_classes[:5])
    moved = f"of {measured.known_examples} {nouns.examples} that were there before,"
    yield from _both("psi", psi[1], bounds.psi_warn, bounds.psi_block, f"{psi[0]} has PSI {psi[1]:.3g}")
    yield from _both("ks", ks[1], bounds.ks_warn, bounds.ks_block, f"{ks[0]} has KS {ks[1]:.3g}")
    yield from _both(
        "class_shift",
        measured.class_shift,
        bounds.class_shift_warn,
        bounds.class_shift_block,
        f"{measured.class_shift:.1%} of the {nouns.rows} moved to other {nouns.classes}",
    )
    yield from _both(
        "lost_classes",
        measured.lost_share,
        bounds.lost_share_warn,
        bounds.lost_share_block,
        f"gone are {lost}, with {measured.lost_share:.1%} of the champion's {nouns.rows}",
    )
    yield from _both(
        "correlation",
        measured.correlation_change,
        bounds.correlation_warn,
        bounds.correlation_block,
        f"{measured.correlated} go together differently, by {measured.correlation_change:.3g}",
    )
    yield from _both(
        "changed_examples",
        measured.changed_examples / known,
        bounds.changed_examples_warn,
        bounds.changed_examples_block,
        f"{moved} {measured.changed_examples} have other features now",
    )
    yield from _both(
        "moved_examples",
        measured.moved_examples / known,
        bounds.moved_examples_warn,
        bounds.moved_examples_block,
        f"{moved} {measured.moved_examples} have most {nouns.rows} in another {nouns.class_} now",
    )
    yield from _both(
        "twins",
        max(measured.twins_after - measured.twins_before, 0.0),
        bounds.twins_warn,
        bounds.twins_block,
        f"{measured.twins_after:.1%} of the {nouns.examples} have another's features, not "
        f"{measured.twins_before:.1%}",
    )
    yield from _both(
        "volume",
        least,
        bounds.volume_warn,
        bounds.volume_block,
        f"{after.rows} {nouns.rows} of {after.examples} {nouns.examples}, before {before.rows} of "
        f"{before.examples}",
        ">=",
    )
    yield from _both(
        "growth",
        after.rows / before.rows,
        bounds.growth_warn,
        bounds.growth_block,
        f"{after.rows} {nouns.rows}, before {before.rows}",
    )
    yield compare(
        "drift.known_examples",
        measured.known_examples / possible,
        ">=",
        bounds.known_examples_warn,
        f"only {measured.known_examples} {nouns.examples} were there before: changed features would hardly "
        "be noticed",
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

"""The champion: the comparison with the production model on the same examples, and how much worse it may be.

Differences are oriented so that positive means that the challenger, the model of this run, is better. A model
must be shown not to be worse by the margin in *every* metric. A worse model then passes only if the bound of
the very metric in which it is worse is wrong, which has at most the probability alpha, however many metrics
there are (Berger, Multiparameter hypothesis testing and acceptance sampling, Technometrics 24, 1982).
"""

from collections.abc import Iterator
from statistics import NormalDist
from typing import Annotated, Self

from pydantic import Field, model_validator

from ml.core.records import Count, Digest, NonNegative, Record, Share
from ml.gate.check import Check, Level, compare, readable
from ml.gate.nouns import Nouns
from ml.gate.resampling import JUDGED_AT, Estimate
from ml.gate.threshold import threshold

WAIVABLE = (
    "champion.log_loss.not_worse",
    "champion.top5_mass.not_worse",
    "champion.hit_at_5.not_worse",
)

CandidateId = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
NOISE = 1e-6
"""What two runtimes and 32-bit arithmetic may make of one and the same model, in nats and shares."""

FEWEST = 2
"""Classes that both models must know: with one, every model gives it all the probability."""


class Standing(Record):
    """One metric of both models, and their difference; ``superior``: its lower bound is above `NOISE`."""

    champion: NonNegative
    challenger: NonNegative
    difference: Estimate
    superior: bool


class ShareStanding(Standing):
    """The standing of a metric that is a share."""

    champion: Share
    challenger: Share


class Shared(Record):
    """Both models on what they share: the classes that both know, and the examples that have rows of them.

    Both models' probabilities are divided by their sum over the shared classes. Rows of
    other classes are left out and counted, and so are examples without any other. ``features`` is how many of
    ours the champion takes. Bounds are one-sided, each wrong with probability ``alpha``; the examples were
    resampled.
    """

    features: Annotated[int, Field(ge=1)]
    champion_labels: Count
    challenger_labels: Count
    shared_labels: Annotated[int, Field(ge=FEWEST)]
    examples: Count
    examples_left_out: Count
    rows: Count
    rows_left_out: Count
    log_loss: Standing
    top5_mass: ShareStanding
    hit_at_5: ShareStanding
    resamples: Count
    alpha: Annotated[float, Field(gt=0, lt=0.5)]
    seed: int

    @property
    def standings(self) -> dict[str, Standing]:
        """The standing of each metric, by the metric's name in `ml.gate.subjects.evaluation.Metrics`."""
        return {"log_loss": self.log_loss, "top5_mass": self.top5_mass, "hit_at_5": self.hit_at_5}


class Comparison(Record):
    """Which champion the challenger was compared with; ``incomparable`` is why it could not be, or ""."""

    champion: CandidateId
    onnx_digest: Digest
    incomparable: str
    shared: Shared | None

    @model_validator(mode="after")
    def _either(self) -> Self:
        if bool(self.incomparable) == bool(self.shared):
            raise ValueError("there must be either numbers or the reason why there are none")
        return self


class ChampionPolicy(Record):
    """How much worse than the production model a model may be, and how sure the gate must be."""

    alpha: Annotated[float, Field(gt=0, lt=0.5)] = threshold(
        0.05,
        "probability",
        "How often a model that is worse than the champion by a whole margin may pass: one in twenty, as "
        "usual. Bounds that were made more strictly are good enough, laxer ones are not.",
    )
    min_resamples: Annotated[int, Field(ge=1)] = threshold(
        10000,
        "resamples",
        "At 10,000 the lower bound moves by some hundredths of a standard error from seed to seed.",
    )
    min_shared_row_share: Share = threshold(
        0.9,
        "share of rows, and of examples",
        "A champion that knows fewer classes is compared on those that both know. If they hold less "
        "than this, the comparison says too little about what would be served.",
    )
    margin_log_loss_nats: NonNegative = threshold(
        0.05,
        "nats per row",
        "How much worse the log loss may be: more than two seeds of the same training differ, and a small "
        "part of what there is to gain over the prior. What models lose little by little, the gain over "
        "the prior above stops.",
    )
    margin_top5_mass: Share = threshold(
        0.03,
        "share of rows",
        "How much less the top-5 mass may be: a small part of what the model gains over the prior.",
    )
    margin_hit_at_5: Share = threshold(
        0.05,
        "share of examples",
        "How many fewer examples may be hit by their five most probable classes: a small part of what the "
        "model gains over the prior.",
    )
    min_power: Annotated[float, Field(gt=0, lt=1)] = threshold(
        0.8,
        "probability",
        "A model as good as the champion should pass with this, in all three metrics at once: where the "
        "test examples are too few for that, the gate warns that it would block good models, too.",
    )


def champion_checks(
    comparison: Comparison, bounds: ChampionPolicy, nouns: Nouns, level: Level
) -> Iterator[Check]:
    """Check the comparison with the champion; at the level "warn" no check blocks."""
    for check in _champion_checks(comparison, bounds, nouns):
        yield check.model_copy(update={"level": level}) if level == "warn" else check


def _champion_checks(comparison: Comparison, bounds: ChampionPolicy, nouns: Nouns) -> Iterator[Check]:
    yield readable(
        "champion.comparable",
        "incomparable" if comparison.incomparable else "readable",
        comparison.incomparable,
    )
    if comparison.shared:
        yield from _coverage(comparison.shared, bounds, nouns)
        margins = {
            "log_loss": bounds.margin_log_loss_nats,
            "top5_mass": bounds.margin_top5_mass,
            "hit_at_5": bounds.margin_hit_at_5,
        }
        for name, standing in comparison.shared.standings.items():
            yield from _standing(name, standing, margins[name], comparison.shared, bounds, nouns)


def _coverage(shared: Shared, bounds: ChampionPolicy, nouns: Nouns) -> Iterator[Check]:
    """Check that the comparison is about all test examples, or nearly, and was made as the policy asks."""
    yield compare(
        "champion.shared_rows",
        shared.rows / max(shared.rows + shared.rows_left_out, 1),
        ">=",
        bounds.min_shared_row_share,
        f"the {nouns.classes} that both models know hold too few {nouns.rows} of the test {nouns.examples}",
    )
    yield compare(
        "champion.shared_examples",
        shared.examples / max(shared.examples + shared.examples_left_out, 1),
        ">=",
        bounds.min_shared_row_share,
        f"too few of the test {nouns.examples} have {nouns.rows} of the {nouns.classes} that both models "
        "know",
    )
    yield compare("champion.resamples", shared.resamples, ">=", bounds.min_resamples)
    yield compare(
        "champion.alpha",
        shared.alpha,
        "<=",
        bounds.alpha,
        f"the bounds are wrong with probability {shared.alpha:g}, and the policy allows {bounds.alpha:g}",
    )


def _standing(
    name: str, standing: Standing, margin: float, shared: Shared, bounds: ChampionPolicy, nouns: Nouns
) -> Iterator[Check]:
    """Check that one metric is not below its margin; warn where the test examples are too few to tell."""
    difference = standing.difference
    yield compare(
        f"champion.{name}.not_worse",
        difference.low,
        ">=",
        -margin,
        f"not shown to be within {margin:g} of the champion: the difference is {difference.value:.4g}, and "
        f"its lower bound {difference.low:.4g}",
    )
    # An equal model fails in each metric with its share of the probability that it may fail in any. It passes
    # in this one with the rest if the margin is so many standard errors wide (normal theory).
    power = 1 - (1 - bounds.min_power) / len(shared.standings)
    widths = -NormalDist().inv_cdf(JUDGED_AT * shared.alpha) + NormalDist().inv_cdf(power)
    needed = widths * difference.standard_error
    takes = f"no number of {nouns.examples} tells a margin of 0"
    if margin:
        # Not a power: what is too large a number for one is infinity here.
        times = needed / margin
        takes = f"to tell the margin of {margin:g} takes {shared.examples * times * times:.0f} or so"
    yield compare(
        f"champion.{name}.power",
        needed,
        "<=",
        margin,
        f"an equal model would be blocked too often: {shared.examples} test {nouns.examples} can tell "
        f"{needed:.3g}, and {takes}",
        level="warn",
    )

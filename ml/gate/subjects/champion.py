"""The champion: the comparison with the production model on the same songs, and how much worse it may be.

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

TOP = 5
"""With no more countries than this, the five most probable are all, and two of the metrics say nothing."""


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
    """Both models on what they share: the countries that both know, and the songs that chart there.

    Both models' probabilities are divided by their sum over the shared countries. Chart rows elsewhere are
    left out and counted, and so are songs without any other. ``features`` is how many of ours the champion
    takes. Bounds are one-sided, each wrong with probability ``alpha``; the songs were resampled.
    """

    features: Annotated[int, Field(ge=1)]
    champion_labels: Count
    challenger_labels: Count
    shared_labels: Annotated[int, Field(gt=TOP)]
    songs: Count
    songs_left_out: Count
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
        "share of rows, and of songs",
        "A champion that knows fewer countries is compared on those that both know. If they hold less "
        "than this, the comparison says too little about what would be served.",
    )
    margin_log_loss_nats: NonNegative = threshold(
        0.05,
        "nats per chart row",
        "How much worse the log loss may be: a sixth of the 0.3 nats that real charts of six days leave "
        "to gain over the prior. The same training from two seeds differs there by 0.03 nats at times: "
        "less than this takes more than their 474 test songs. What models lose little by little, the gain "
        "over the prior above stops.",
    )
    margin_top5_mass: Share = threshold(
        0.03,
        "share of chart rows",
        "How much less the top-5 mass may be: a sixth of what the network gains over the prior on real "
        "charts, 0.16.",
    )
    margin_hit_at_5: Share = threshold(
        0.05,
        "share of songs",
        "How many fewer songs may be hit by their five most probable countries: a sixth of what the "
        "network gains over the prior on real charts, 0.27.",
    )
    min_power: Annotated[float, Field(gt=0, lt=1)] = threshold(
        0.8,
        "probability",
        "A model as good as the champion should pass with this, in all three metrics at once: where the "
        "test songs are too few for that, the gate warns that it would block good models, too.",
    )


def champion_checks(found: Comparison, bounds: ChampionPolicy, level: Level) -> Iterator[Check]:
    """Check the comparison with the champion; at the level "warn" no check blocks."""
    for check in _champion_checks(found, bounds):
        yield check.model_copy(update={"level": level}) if level == "warn" else check


def _champion_checks(found: Comparison, bounds: ChampionPolicy) -> Iterator[Check]:
    yield readable(
        "champion.comparable", "incomparable" if found.incomparable else "readable", found.incomparable
    )
    if found.shared:
        yield from _coverage(found.shared, bounds)
        margins = {
            "log_loss": bounds.margin_log_loss_nats,
            "top5_mass": bounds.margin_top5_mass,
            "hit_at_5": bounds.margin_hit_at_5,
        }
        for name, standing in found.shared.standings.items():
            yield from _standing(name, standing, margins[name], found.shared, bounds)


def _coverage(shared: Shared, bounds: ChampionPolicy) -> Iterator[Check]:
    """Check that the comparison is about all test songs, or nearly, and was made as the policy asks."""
    yield compare(
        "champion.shared_rows",
        shared.rows / max(shared.rows + shared.rows_left_out, 1),
        ">=",
        bounds.min_shared_row_share,
        "the countries that both models know hold too few of the test songs' chart rows",
    )
    yield compare(
        "champion.shared_songs",
        shared.songs / max(shared.songs + shared.songs_left_out, 1),
        ">=",
        bounds.min_shared_row_share,
        "too few of the test songs chart in the countries that both models know",
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
    name: str, standing: Standing, margin: float, shared: Shared, bounds: ChampionPolicy
) -> Iterator[Check]:
    """Check that one metric is not below its margin; warn where the test songs are too few to tell."""
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
    takes = "no number of songs tells a margin of 0"
    if margin:
        # Not a power: what is too large a number for one is infinity here.
        times = needed / margin
        takes = f"to tell the margin of {margin:g} takes {shared.songs * times * times:.0f} or so"
    yield compare(
        f"champion.{name}.power",
        needed,
        "<=",
        margin,
        f"an equal model would be blocked too often: {shared.songs} test songs can tell {needed:.3g}, and "
        f"{takes}",
        level="warn",
    )

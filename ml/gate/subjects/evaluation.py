"""Evaluation: what the model and its baselines are worth on the test examples, and what it must be worth."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from ml.core.records import Count, Digest, NonNegative, Number, Record, Share
from ml.gate.check import Check, compare
from ml.gate.nouns import Nouns
from ml.gate.subjects.champion import Comparison
from ml.gate.subjects.slices import Slices
from ml.gate.threshold import threshold

WAIVABLE = (
    "evaluation.examples",
    "evaluation.gain_over_prior",
    "evaluation.gain_over_prior.low",
    "evaluation.gain_over_logistic.high",
    "evaluation.top5_mass",
    "evaluation.calibration",
)


class Interval(Record):
    """A measured value and its percentile bootstrap interval."""

    value: Number
    low: Number
    high: Number


class Loss(Interval):
    """The interval of a log loss."""

    value: NonNegative
    low: NonNegative
    high: NonNegative


class Part(Interval):
    """The interval of a share."""

    value: Share
    low: Share
    high: Share


class Metrics(Record):
    """How well probabilities fit the rows of the test examples.

    Log loss is in nats per row. The masses are shares of rows that fall on the most probable one or five
    classes, or all but one where there are not more than five. hit@5 is the share of examples that have a row
    of one of their five.
    """

    log_loss: Loss
    top1_mass: Part
    top5_mass: Part
    hit_at_5: Part
    macro_f1: Share
    calibration_error: Share


class ClassScore(Record):
    """The log loss of one class's rows (nats), and how many rows and examples there are."""

    log_loss: NonNegative
    prior_log_loss: NonNegative
    rows: Count
    examples: Count


class Bootstrap(Record):
    """How the intervals were made: examples are resampled, not rows."""

    resamples: Count
    confidence: Share
    seed: int


class Evaluation(Record):
    """What `evaluate` measured on the test split; gains are baseline minus model, in nats.

    ``labels`` is how many classes the model knows; ``champion`` is None when no model was in production.
    """

    schema_: Literal["jukebox.evaluation/v3"] = Field("jukebox.evaluation/v3", alias="schema")
    model_digest: Digest
    test_digest: Digest
    examples: Count
    rows: Count
    labels: Annotated[int, Field(ge=1)]
    model: Metrics
    uniform: Metrics
    prior: Metrics
    logistic: Metrics
    gain_over_prior: Interval
    gain_over_logistic: Interval
    classes: dict[str, ClassScore]
    slices: Slices
    bootstrap: Bootstrap
    champion: Comparison | None


class EvaluationPolicy(Record):
    """What the model must be worth on examples that it has never seen."""

    min_examples: Annotated[int, Field(ge=1)] = threshold(
        100,
        "examples",
        "Below so many test examples the intervals are too wide to say anything.",
    )
    min_resamples: Annotated[int, Field(ge=1)] = threshold(
        1000,
        "resamples",
        "With fewer the ends of the intervals below mean less than they say.",
    )
    min_confidence: Share = threshold(
        0.95,
        "share",
        "At a lower confidence the intervals below would exclude more than they should.",
    )
    min_gain_over_prior_nats: NonNegative = threshold(
        0.05,
        "nats per row",
        "The lower end of the interval of (prior's log loss - model's) must be above this. A model that "
        "learned nothing scores at or below zero.",
    )
    min_top5_mass_over_prior: Annotated[float, Field(ge=1, le=1000)] = threshold(
        2.0,
        "times",
        "Top-5 mass as a multiple of the prior's. With five classes or fewer little is left to gain: lower "
        "it there.",
    )
    min_gain_over_logistic_nats: Number = threshold(
        0.0,
        "nats per row",
        "The model must earn its place beside scikit-learn's logistic regression: the upper end of the "
        "interval of (logistic's log loss - model's) must not be below this, that is: the model is not "
        "shown to be worse than the simpler model.",
    )
    max_calibration_error: Share = threshold(
        0.1,
        "share of rows",
        "How far the probability of the most probable class may be from how often that is right, on average "
        "over ten groups of examples of about as many rows.",
    )


def evaluation_checks(report: Evaluation, bounds: EvaluationPolicy, nouns: Nouns) -> Iterator[Check]:
    """Check the evaluation on its own: absolute merit, and merit beside the baselines."""
    yield compare("evaluation.examples", report.examples, ">=", bounds.min_examples)
    yield compare("evaluation.resamples", report.bootstrap.resamples, ">=", bounds.min_resamples)
    yield compare("evaluation.confidence", report.bootstrap.confidence, ">=", bounds.min_confidence)
    yield compare(
        "evaluation.gain_over_prior.low",
        report.gain_over_prior.low,
        ">",
        bounds.min_gain_over_prior_nats,
        f"the model's log loss does not beat the {nouns.class_} prior's by the margin",
    )
    yield compare(
        "evaluation.gain_over_prior",
        report.gain_over_prior.value,
        ">",
        bounds.min_gain_over_prior_nats,
    )
    yield compare(
        "evaluation.top5_mass",
        report.model.top5_mass.value,
        ">=",
        bounds.min_top5_mass_over_prior * report.prior.top5_mass.value,
        f"the five most probable {nouns.classes} hold too little more than the prior's",
    )
    yield compare(
        "evaluation.gain_over_logistic.high",
        report.gain_over_logistic.high,
        ">=",
        bounds.min_gain_over_logistic_nats,
        "the model is worse than the logistic regression on the same features",
    )
    yield compare(
        "evaluation.calibration",
        report.model.calibration_error,
        "<=",
        bounds.max_calibration_error,
        "the model's probabilities are too far from how often it is right",
    )

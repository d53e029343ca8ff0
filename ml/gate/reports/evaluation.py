"""The evaluation: what the Keras model and its baselines are worth on the test songs."""

from typing import Annotated, Literal

from pydantic import Field

from ml.gate.records import Count, Digest, NonNegative, Number, Record, Share
from ml.gate.reports.champion import Comparison
from ml.gate.reports.slices import Slices


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
    """How well probabilities fit the charts of the test songs.

    Log loss is in nats per chart row. The masses are shares of chart rows that fall on the most
    probable one or five countries. hit@5 is the share of songs that chart in one of their five.
    """

    log_loss: Loss
    top1_mass: Part
    top5_mass: Part
    hit_at_5: Part
    macro_f1: Share
    calibration_error: Share


class CountryScore(Record):
    """The log loss of one country's chart rows (nats), and how many rows and songs there are."""

    log_loss: NonNegative
    prior_log_loss: NonNegative
    rows: Count
    songs: Count


class Bootstrap(Record):
    """How the intervals were made: songs are resampled, not chart rows."""

    resamples: Count
    confidence: Share
    seed: int


class Evaluation(Record):
    """What `evaluate` measured on the test split; gains are baseline minus model, in nats.

    ``labels`` is how many countries the model knows; ``champion`` is None when no model was in production.
    """

    schema_: Literal["jukebox.evaluation/v2"] = Field("jukebox.evaluation/v2", alias="schema")
    keras_digest: Digest
    test_digest: Digest
    songs: Count
    rows: Count
    labels: Annotated[int, Field(ge=1)]
    model: Metrics
    uniform: Metrics
    prior: Metrics
    logistic: Metrics
    gain_over_prior: Interval
    gain_over_logistic: Interval
    countries: dict[str, CountryScore]
    slices: Slices
    bootstrap: Bootstrap
    champion: Comparison | None

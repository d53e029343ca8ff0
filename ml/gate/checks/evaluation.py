"""Checks of the evaluation: enough songs, and a model that beats its baselines."""

from collections.abc import Iterator

from ml.gate.checks.check import Check, compare
from ml.gate.reports.evaluation import Evaluation
from ml.gate.thresholds import EvaluationPolicy


def evaluation_checks(report: Evaluation, bounds: EvaluationPolicy) -> Iterator[Check]:
    """Check the evaluation on its own: absolute merit, and merit beside the baselines."""
    yield compare("evaluation.songs", report.songs, ">=", bounds.min_songs)
    yield compare("evaluation.resamples", report.bootstrap.resamples, ">=", bounds.min_resamples)
    yield compare("evaluation.confidence", report.bootstrap.confidence, ">=", bounds.min_confidence)
    yield compare(
        "evaluation.gain_over_prior.low",
        report.gain_over_prior.low,
        ">",
        bounds.min_gain_over_prior_nats,
        "the model's log loss does not beat the country prior's by the margin",
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
        "the five most probable countries hold too little more than the prior's",
    )
    yield compare(
        "evaluation.gain_over_logistic.high",
        report.gain_over_logistic.high,
        ">=",
        bounds.min_gain_over_logistic_nats,
        "the network is worse than the logistic regression on the same features",
    )

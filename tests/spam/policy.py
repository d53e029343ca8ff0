"""The policy's defaults, where they differ from the engine's."""

from collections.abc import Mapping

from ml.gate.policy import Default

from .definition import FEATURES

THRESHOLDS: Mapping[str, Default] = {
    "data.required_checks": (("messages.rows >= 100", "votes.unknown <= 0"), "A hundred messages are few."),
    "drift.required_features": (FEATURES, "All features."),
    "evaluation.min_examples": (20, "The sample is small."),
    "evaluation.min_top5_mass_over_prior": (1.0, "One of two classes: the prior's best is not doubled."),
    "parity.reference": ("self-reported", "The judge loads no scikit-learn model."),
}

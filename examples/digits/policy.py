"""The policy's defaults for the digits, where they differ from the engine's."""

from examples.digits.definition import FEATURES

THRESHOLDS = {
    "data.required_checks": (
        (
            "digits.columns <= 0",
            "digits.types <= 0",
            "digits.rows >= 500",
            "digits.present <= 0",
            "digits.unique <= 0",
            "digits.in_range <= 0",
        ),
        "All checks of the contract; below 500 images no split has each digit often enough.",
    ),
    "drift.required_features": (FEATURES, "All pixels."),
    "evaluation.min_top5_mass_over_prior": (
        1.5,
        "The prior's five most probable of ten digits hold half of the images: twice that is all of them.",
    ),
    "parity.reference": (
        "self-reported",
        "The judge loads no scikit-learn model. A run compares the exported model with it; the judge "
        "measures the exported model itself.",
    ),
}

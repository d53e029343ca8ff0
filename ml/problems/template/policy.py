"""The defaults of the policy for this problem, where they differ from those of the engine, with reasons.

`jukebox policy explain` shows every threshold. Measure before you choose: the reason should say what.
"""

from collections.abc import Mapping

from ml.gate.policy import Default
from ml.problems.template.definition import FEATURES, LEAST_ROWS

THRESHOLDS: Mapping[str, Default] = {
    "data.required_checks": (
        (
            "template.columns <= 0",
            "template.types <= 0",
            f"template.rows >= {LEAST_ROWS}",
            "template.present <= 0",
            "template.unique <= 0",
            "template.in_range <= 0",
        ),
        "All checks of the contract.",
    ),
    "drift.required_features": (FEATURES, "All inputs of the model."),
    "evaluation.min_top5_mass_over_prior": (
        1.0,
        "With three classes the two most probable hold most of the rows for any model.",
    ),
}

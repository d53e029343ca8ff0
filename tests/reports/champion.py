"""A comparison with the champion that passes, and leaves some songs out."""

from typing import Any

from ml.core.canonical import digest
from reports.identity import CHAMPION, CHAMPION_ONNX

MARGINS = {"log_loss": 0.05, "top5_mass": 0.03, "hit_at_5": 0.05}
"""The margins of the default policy."""

POINTS = {
    "log_loss": (4.0, 4.0 + 2**-8),
    "top5_mass": (0.1875, 0.1875 - 2**-8),
    "hit_at_5": (0.875, 0.9375),
}
"""Each metric of the champion and of the challenger on what they share: worse, worse and better."""


def standing(champion: float, challenger: float, sign: int = 1, error: float = 2**-7) -> dict[str, Any]:
    """Make a standing with a standard error; the bounds are three of these away."""
    value = sign * (challenger - champion)
    low, high = value - 3 * error, value + 3 * error
    difference = {"value": value, "standard_error": error, "low": low, "high": high}
    return {
        "champion": champion,
        "challenger": challenger,
        "difference": difference,
        "superior": low > 1e-6,
    }


def shared() -> dict[str, Any]:
    return {
        "features": 13,
        "champion_labels": 72,
        "challenger_labels": 73,
        "shared_labels": 71,
        "songs": 125,
        "songs_left_out": 3,
        "rows": 5000,
        "rows_left_out": 234,
        **{name: standing(*points, -1 if name == "log_loss" else 1) for name, points in POINTS.items()},
        "resamples": 10_000,
        "alpha": 0.05,
        "seed": 7,
    }


def comparison(champion: str = CHAMPION, model: bytes = CHAMPION_ONNX) -> dict[str, Any] | None:
    """Make the comparison with a champion and its model; None for the champion ""."""
    if not champion:
        return None
    return {
        "champion": champion,
        "onnx_digest": digest(model),
        "incomparable": "",
        "shared": shared(),
    }

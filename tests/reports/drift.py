"""A drift from a champion's training data that passes without a warning."""

from typing import Any

from ml.core.canonical import digest
from policies import default_policy
from reports.identity import CHAMPION, PROFILE

FEATURES = default_policy().drift.required_features


def drift(champion: str = CHAMPION) -> dict[str, Any] | None:
    """Make the drift from a champion; None for the champion ""."""
    if not champion:
        return None
    return {
        "champion": champion,
        "profile_digest": digest(PROFILE),
        "not_compared": "",
        "measured": {
            "before": {"songs": 500, "rows": 20_000, "days": 6},
            "after": {"songs": 550, "rows": 25_000, "days": 7},
            "trained_on_synthetic": True,
            "features": {name: {"psi": 0.0625, "ks": 0.03125} for name in FEATURES},
            "country_shift": 0.125,
            "lost_countries": ["IS"],
            "new_countries": ["KE"],
            "lost_share": 0.0078125,
            "correlation_change": 0.125,
            "correlated": "energy and loudness",
            "known_songs": 256,
            "changed_songs": 1,
            "moved_songs": 64,
            "twins_before": 0.0078125,
            "twins_after": 0.015625,
        },
    }

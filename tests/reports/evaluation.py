"""An evaluation that passes."""

from collections.abc import Mapping
from typing import Any

from reports.champion import comparison
from reports.identity import CHAMPION, DIGESTS
from reports.measures import interval, metrics

SONGS = 128
"""Test songs."""


def evaluation(digests: Mapping[str, str] = DIGESTS, champion: str = CHAMPION) -> dict[str, Any]:
    return {
        "schema": "jukebox.evaluation/v2",
        "keras_digest": digests["model.keras"],
        "test_digest": digests["test.parquet"],
        "songs": SONGS,
        "rows": 5234,
        "model": metrics(4.0, 0.0625, 0.1875, 0.9375),
        "uniform": metrics(4.3125, 0.015625, 0.078125, 0.78125),
        "prior": metrics(4.3, 0.015625, 0.046875, 0.65625),
        "logistic": metrics(4.0625, 0.03125, 0.15625, 0.921875),
        "gain_over_prior": interval(0.3),
        "gain_over_logistic": interval(0.0625),
        "countries": {
            "BR": {"log_loss": 3.9, "prior_log_loss": 4.25, "rows": 2617},
            "SE": {"log_loss": 4.1, "prior_log_loss": 4.35, "rows": 2617},
        },
        "bootstrap": {"resamples": 2000, "confidence": 0.95, "seed": 7},
        "champion": comparison(champion),
    }

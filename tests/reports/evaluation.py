"""An evaluation that passes."""

from collections.abc import Mapping
from typing import Any

from reports.champion import comparison
from reports.identity import CHAMPION, DIGESTS
from reports.measures import interval, metrics

SONGS = 128
"""Test songs."""

SLICES = {
    "country=BR": (90, 2617, 0.35),
    "country=SE": (80, 2617, 0.25),
    "explicit=yes": (38, 1234, 0.3),
    "explicit=no": (90, 4000, 0.3),
    "decade=1990s": (8, 300, -0.125),
    "decade=2020s": (110, 4700, 0.375),
    "released=this year": (48, 1000, 0.375),
    "released=earlier": (70, 4000, 0.3375),
}
"""Test songs, chart rows and gain of each slice; the 1990s have too few songs to be judged."""


def slice_of(name: str, songs: int, rows: int, gain: float, p_value: float = 1.0) -> dict[str, Any]:
    return {
        "name": name,
        "songs": songs,
        "rows": rows,
        "gain": gain,
        "standard_error": 0.0625,
        "p_value": p_value,
    }


def evaluation(digests: Mapping[str, str] = DIGESTS, champion: str = CHAMPION) -> dict[str, Any]:
    return {
        "schema": "jukebox.evaluation/v2",
        "keras_digest": digests["model.keras"],
        "test_digest": digests["test.parquet"],
        "songs": SONGS,
        "rows": 5234,
        "labels": 73,
        "model": metrics(4.0, 0.0625, 0.1875, 0.9375),
        "uniform": metrics(4.3125, 0.015625, 0.078125, 0.78125),
        "prior": metrics(4.3, 0.015625, 0.046875, 0.65625),
        "logistic": metrics(4.0625, 0.03125, 0.15625, 0.921875),
        "gain_over_prior": interval(0.3),
        "gain_over_logistic": interval(0.0625),
        "countries": {
            "BR": {"log_loss": 3.9, "prior_log_loss": 4.25, "rows": 2617, "songs": 90},
            "SE": {"log_loss": 4.1, "prior_log_loss": 4.35, "rows": 2617, "songs": 80},
        },
        "slices": {
            "floor": -0.25,
            "resampling": {"resamples": 10_000, "alpha": 0.05, "seed": 7},
            "slices": [slice_of(name, songs, rows, gain) for name, (songs, rows, gain) in SLICES.items()],
        },
        "bootstrap": {"resamples": 2000, "confidence": 0.95, "seed": 7},
        "champion": comparison(champion),
    }

"""A data report that passes."""

from typing import Any

from policies import default_policy
from reports.drift import drift
from reports.identity import CHAMPION, DATA_VERSION

OPTIONAL_CHECK = "rankings.colour"
"""A check of the data report that the policy does not ask for."""

DATA_CHECKS = {
    **dict.fromkeys((*default_policy().data.required_checks, OPTIONAL_CHECK), (0.0, "<=", 0.0)),
    "rankings.rows": (25550.0, ">=", 1000.0),
    "rankings.countries": (72.0, ">=", 5.0),
    "rankings.known_songs": (0.995, ">=", 0.99),
    "rankings.release_date": (0.004, "<=", 0.01),
    "songs.rows": (600.0, ">=", 100.0),
    "songs.broken": (0.003, "<=", 0.01),
}
"""The checks of the data report: value, relation, bound."""


def data_report(champion: str = CHAMPION) -> dict[str, Any]:
    return {
        "schema": "jukebox.data-report/v3",
        "data_version": DATA_VERSION,
        "synthetic": True,
        "tables": "source",
        "rankings_rows": 25550,
        "global_rows": 350,
        "songs_rows": 600,
        "broken_songs": 2,
        "both_sides": 3,
        "near_copies": 3,
        "checks": [
            {"name": name, "value": value, "relation": how, "bound": bound, "passed": True, "detail": ""}
            for name, (value, how, bound) in DATA_CHECKS.items()
        ],
        "drift": drift(champion),
    }

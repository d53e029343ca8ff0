"""Checks of the data report: each check of the contract is there, once, and keeps the policy's bound."""

from collections.abc import Iterator

from ml.gate.checks.check import Check, Relation, compare, readable
from ml.gate.reports.data import DataReport
from ml.gate.thresholds import DataPolicy


def data_checks(data: DataReport, policy: DataPolicy) -> Iterator[Check]:
    """Check the data report."""
    names = [check.name for check in data.checks]
    required = {name: _bound(name, policy) for name in policy.required_checks}
    for name in dict.fromkeys((*policy.required_checks, *names)):
        if names.count(name) != 1:
            found = "missing from" if name not in names else "more than once in"
            yield readable(f"data.{name}", "unclear", f"the check is {found} the data report")
            continue
        check = data.checks[names.index(name)]
        # A required check is held against the policy; the commit's own contract may have been loosened.
        relation, bound = required.get(name, (check.relation, check.bound))
        yield compare(f"data.{name}", check.value, relation, bound, check.detail)
    left_out = data.both_sides + data.near_copies
    yield compare(
        "data.left_out",
        left_out / max(data.songs_rows, 1),
        "<=",
        policy.max_left_out,
        f"{data.both_sides} songs of recordings on both sides and {data.near_copies} near copies of sealed "
        f"ones were left out, of {data.songs_rows}",
    )


def _bound(name: str, policy: DataPolicy) -> tuple[Relation, float]:
    """Return how a required check must compare, and with what: by default it counts what must not be."""
    bounds: dict[str, tuple[Relation, float]] = {
        "rankings.rows": (">=", policy.min_ranking_rows),
        "songs.rows": (">=", policy.min_song_rows),
        "rankings.countries": (">=", policy.min_countries),
        "rankings.known_songs": (">=", policy.min_known_songs),
        "songs.broken": ("<=", policy.max_broken_songs),
        "rankings.release_date": ("<=", policy.max_unreadable_dates),
    }
    return bounds.get(name, ("<=", 0))

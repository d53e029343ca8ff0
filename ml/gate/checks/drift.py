"""Checks of drift: the tables are not too far from those that the champion was trained on.

Each measure has two bounds: beyond the one it warns, beyond the other it blocks. A champion of synthetic data
says nothing about real tables, so beside one everything only warns; else nobody could leave the sample. The
other way round, synthetic data after real, always blocks.
"""

from collections.abc import Iterator, Mapping

from ml.gate.canonical import digest
from ml.gate.checks.check import Check, Level, Relation, compare, readable
from ml.gate.reports.data import DataReport
from ml.gate.reports.drift import KNOWN_SONGS, Drift, FeatureDrift, Measured
from ml.gate.thresholds import DriftPolicy

NOTHING = digest(b"")
"""The digest of a profile that is not there."""


def drift_checks(report: DataReport, bounds: DriftPolicy) -> Iterator[Check]:
    """Check the drift from the champion's tables; without a champion there is nothing to check."""
    found = report.drift
    if found is None:
        return
    yield _compared(found)
    if found.measured is None:
        return
    measured = found.measured
    yield compare(
        "drift.synthetic",
        report.synthetic and not measured.trained_on_synthetic,
        "==",
        0,
        "the data is synthetic, and the champion was trained on real charts",
    )
    lacking = sorted(set(bounds.required_features) - set(measured.features))
    yield compare("drift.features", len(lacking), "==", 0, f"not compared: {', '.join(lacking)}")
    from_sample = measured.trained_on_synthetic and not report.synthetic
    for check in _measures(measured, bounds):
        yield check.model_copy(update={"level": "warn"}) if from_sample else check


def _compared(found: Drift) -> Check:
    """Make the check that there are numbers; a champion without a profile is accepted with a warning."""
    absent = found.profile_digest == NOTHING
    check = readable(
        "drift.compared", "not compared" if found.not_compared else "readable", found.not_compared
    )
    return check.model_copy(update={"level": "warn"}) if absent else check


def _measures(measured: Measured, bounds: DriftPolicy) -> Iterator[Check]:
    before, after = measured.before, measured.after
    psi, ks = _worst(measured.features, "psi"), _worst(measured.features, "ks")
    known = max(measured.known_songs, 1)
    possible = min(before.songs, after.songs, KNOWN_SONGS)
    least = min(after.rows / before.rows, after.songs / before.songs)
    lost = ", ".join(measured.lost_countries[:5])
    moved = f"of {measured.known_songs} songs that were there before,"
    yield from _both("psi", psi[1], bounds.psi_warn, bounds.psi_block, f"{psi[0]} has PSI {psi[1]:.3g}")
    yield from _both("ks", ks[1], bounds.ks_warn, bounds.ks_block, f"{ks[0]} has KS {ks[1]:.3g}")
    yield from _both(
        "country_shift",
        measured.country_shift,
        bounds.country_shift_warn,
        bounds.country_shift_block,
        f"{measured.country_shift:.1%} of the chart rows moved to other countries",
    )
    yield from _both(
        "lost_countries",
        measured.lost_share,
        bounds.lost_share_warn,
        bounds.lost_share_block,
        f"gone are {lost}, with {measured.lost_share:.1%} of the champion's chart rows",
    )
    yield from _both(
        "correlation",
        measured.correlation_change,
        bounds.correlation_warn,
        bounds.correlation_block,
        f"{measured.correlated} go together differently, by {measured.correlation_change:.3g}",
    )
    yield from _both(
        "changed_songs",
        measured.changed_songs / known,
        bounds.changed_songs_warn,
        bounds.changed_songs_block,
        f"{moved} {measured.changed_songs} have other features now",
    )
    yield from _both(
        "moved_songs",
        measured.moved_songs / known,
        bounds.moved_songs_warn,
        bounds.moved_songs_block,
        f"{moved} {measured.moved_songs} chart most in another country now",
    )
    yield from _both(
        "twins",
        max(measured.twins_after - measured.twins_before, 0.0),
        bounds.twins_warn,
        bounds.twins_block,
        f"{measured.twins_after:.1%} of the songs have another's features, not {measured.twins_before:.1%}",
    )
    yield from _both(
        "volume",
        least,
        bounds.volume_warn,
        bounds.volume_block,
        f"{after.rows} chart rows of {after.songs} songs, before {before.rows} of {before.songs}",
        ">=",
    )
    yield from _both(
        "growth",
        after.rows / before.rows,
        bounds.growth_warn,
        bounds.growth_block,
        f"{after.rows} chart rows, before {before.rows}",
    )
    yield compare(
        "drift.known_songs",
        measured.known_songs / possible,
        ">=",
        bounds.known_songs_warn,
        f"only {measured.known_songs} songs were there before: changed features would hardly be noticed",
        "warn",
    )


def _worst(features: Mapping[str, FeatureDrift], measure: str) -> tuple[str, float]:
    name = max(features, key=lambda name: (getattr(features[name], measure), name))
    return name, getattr(features[name], measure)


def _both(
    name: str, value: float, warn: float, block: float, reason: str, relation: Relation = "<="
) -> Iterator[Check]:
    levels: tuple[tuple[str, float, Level], ...] = (
        (f"drift.{name}", block, "block"),
        (f"drift.{name}.early", warn, "warn"),
    )
    for check, bound, level in levels:
        yield compare(check, value, relation, bound, reason, level)

"""Drift between two profiles: how far the tables of a run are from those that the champion was trained on."""

import numpy as np

from ml.core.canonical import digest, parse
from ml.data.profile import Profile, pairs
from ml.gate.subjects.drift import Drift, FeatureDrift, Measured, Volume

EARLIER = b'"schema":"jukebox.profile/v1"'
"""Stands in profiles that earlier releases wrote: they count as absent until the next promotion."""

BINS = 10
SMALLEST_SHARE = 1e-4
"""An empty bin counts as this share: the index stays finite, and one empty decile gives 0.7."""


def measure_drift(before: Profile, after: Profile) -> Measured:
    """Measure the drift from the champion's profile to this run's.

    Raises:
        ValueError: they are profiles of other features.
    """
    if before.features != after.features:
        raise ValueError("it is of other features")
    shares = {name: _shares(profile) for name, profile in (("before", before), ("after", after))}
    classes = sorted(before.classes.keys() | after.classes.keys())
    old, new = (np.array([shares[which].get(name, 0.0) for name in classes]) for which in ("before", "after"))
    lost = sorted(before.classes.keys() - after.classes.keys())
    change = np.abs(np.array(after.correlations) - np.array(before.correlations))
    known = before.known.keys() & after.known.keys()
    return Measured(
        before=Volume(examples=before.examples, rows=before.rows),
        after=Volume(examples=after.examples, rows=after.rows),
        trained_on_synthetic=before.synthetic,
        features={
            name: feature_drift(np.array(quantiles), np.array(after.quantiles[name]))
            for name, quantiles in before.quantiles.items()
        },
        class_shift=float(min(np.abs(old - new).sum() / 2, 1.0)),
        lost_classes=tuple(lost),
        new_classes=tuple(sorted(after.classes.keys() - before.classes.keys())),
        lost_share=float(min(sum(shares["before"][name] for name in lost), 1.0)),
        correlation_change=float(min(change.max(initial=0), 2.0)),
        correlated=" and ".join(pairs(before.features)[int(change.argmax())]) if len(change) else "nothing",
        known_examples=len(known),
        changed_examples=sum(before.known[one].features != after.known[one].features for one in known),
        moved_examples=sum(before.known[one].home != after.known[one].home for one in known),
        twins_before=before.twins,
        twins_after=after.twins,
    )


def drift_from(champion: str, profile: bytes, ours: Profile | None, absent: str) -> Drift:
    """Return the drift from a champion's tables, or why it cannot be measured.

    Args:
        champion: the candidate in production.
        profile: the bytes of the profile of its tables, b"" where there are none.
        ours: the profile of these tables; None where they have none.
        absent: what to say where the champion's profile is missing.
    """
    reason, measured = "", None
    if profile and EARLIER in profile:
        profile, absent = b"", "the champion's profile is of an earlier release, and cannot be compared"
    if not profile:
        reason = absent
    elif ours is None:
        reason = "this run's tables have no profile: they break the contract"
    else:
        try:
            measured = measure_drift(Profile.load(parse(profile)), ours)
        except ValueError as error:
            reason = f"the champion's profile cannot be read: {error}"
    return Drift(champion=champion, profile_digest=digest(profile), not_compared=reason, measured=measured)


def feature_drift(before: np.ndarray, after: np.ndarray) -> FeatureDrift:
    """Compare two distributions by their evenly spaced quantiles, each [Q].

    The population stability index is ``sum (a - b) ln(a / b)`` over bins with shares b before and a after,
    here the champion's deciles; below 0.1 is commonly called stable, above 0.25 a shift (Siddiqi, Credit Risk
    Scorecards, 2006; it is the symmetrised Kullback-Leibler divergence, Jeffreys 1946). KS is the two-sample
    Kolmogorov-Smirnov statistic. Both are exact to the step of the quantiles.
    """
    places = np.unique(np.concatenate([before, after]))
    ks = np.abs(_cumulative(before, places) - _cumulative(after, places)).max()
    deciles, times = np.unique(np.quantile(before, np.arange(1, BINS) / BINS), return_counts=True)
    # A value that many examples share, like a truth value, has a bin of its own: else all were in one bin
    # where it is the largest value of nine in ten.
    edges = np.union1d(deciles, np.nextafter(deciles[times > 1], -np.inf))
    b, a = (np.diff(np.concatenate([[0.0], _cumulative(values, edges), [1.0]])) for values in (before, after))
    b, a = np.maximum(b, SMALLEST_SHARE), np.maximum(a, SMALLEST_SHARE)
    return FeatureDrift(psi=float(((a - b) * np.log(a / b)).sum()), ks=float(min(ks, 1.0)))


def _cumulative(quantiles: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the share of values at or below each place."""
    return np.searchsorted(quantiles, places, side="right") / len(quantiles)


def _shares(profile: Profile) -> dict[str, float]:
    return {name: rows / profile.rows for name, rows in profile.classes.items()}

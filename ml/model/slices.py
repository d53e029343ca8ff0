"""The slices of the test songs, country by country and so on: what the model gains over the prior on each.

A good average can hide one country that the model serves worse than a list of shares would. Each slice
has its own p-value, by the same bootstrap as all comparisons; the gate decides which to believe.
"""

from collections.abc import Iterator

import numpy as np

from ml.data.columns import FEATURES
from ml.data.splits import Examples
from ml.gate.resampling import Resampling
from ml.gate.subjects.slices import Slice, Slices
from ml.model.metrics import SMALLEST
from ml.model.resampling import RESAMPLING, Ratio, p_below

FLOOR = -0.25
"""The gain over the prior (nats a chart row) that a slice is tested against; the policy asks for as much."""

NAMED_FROM = 10
"""A headline names no slice of fewer songs: its gain is noise."""


def measure_slices(
    probabilities: np.ndarray,
    prior: np.ndarray,
    test: Examples,
    countries: list[str],
    settings: Resampling = RESAMPLING,
) -> Slices:
    """Measure the gain over the prior on each slice that has test songs.

    The slices are each country's chart rows; explicit songs and the others; songs by decade of release, and
    those of the newest year and the earlier ones, as far as the year of release is known.

    Args:
        probabilities: the model's, [N, K].
        prior: the countries' shares of the training charts, [K].
        test: the test songs, with counts [N, K].
        countries: the labels, K of them.
        settings: how the p-values are made.
    """
    clipped = np.maximum(probabilities.astype("float64"), SMALLEST)
    gains = test.counts * (np.log(clipped) - np.log(prior))
    found = []
    for name, (gain, rows) in _slices(gains, test, countries):
        charted = rows > 0
        if not charted.any():
            continue
        measured = p_below((gain[charted], rows[charted]), FLOOR, settings)
        found.append(
            Slice(
                name=name,
                songs=int(charted.sum()),
                rows=int(rows.sum()),
                gain=measured.value,
                standard_error=measured.standard_error,
                p_value=measured.p_value,
            )
        )
    return Slices(floor=FLOOR, resampling=settings, slices=tuple(found))


def worst_slices(slices: Slices, count: int = 3) -> list[Slice]:
    """Return the slices of enough songs with the least gain, the worst first."""
    enough = [part for part in slices.slices if part.songs >= NAMED_FROM]
    return sorted(enough, key=lambda part: part.gain)[:count]


def _slices(gains: np.ndarray, test: Examples, countries: list[str]) -> Iterator[tuple[str, Ratio]]:
    """Make each slice's name, and gain and chart rows by song, float64 [N]."""
    for index, country in enumerate(countries):
        yield f"country={country}", (gains[:, index], test.counts[:, index].astype("float64"))
    gain = gains.sum(axis=1)
    explicit = test.features[:, FEATURES.index("is_explicit")] > 0.5
    chosen = {"explicit=yes": explicit, "explicit=no": ~explicit}
    known = test.released > 0
    decades = test.released // 10 * 10
    for decade in np.unique(decades[known]):
        chosen[f"decade={decade}s"] = known & (decades == decade)
    if known.any():
        newest = test.released.max()
        chosen["released=this year"] = test.released == newest
        chosen["released=earlier"] = known & (test.released < newest)
    for name, songs in chosen.items():
        yield name, (np.where(songs, gain, 0.0), np.where(songs, test.weights, 0.0))

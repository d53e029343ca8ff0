"""One-sided bootstrap bounds of ratios of sums over songs."""

from collections.abc import Mapping

import numpy as np

from ml.gate.reports.resampling import JUDGED_AT, Bounds, Resampling


def compare_ratios(
    ratios: Mapping[str, tuple[np.ndarray, np.ndarray]], settings: Resampling
) -> dict[str, Bounds]:
    """Return one-sided percentile bounds of each ratio of sums; all are drawn on the same resamples.

    Args:
        ratios: numerators and denominators by song, each [N].
        settings: resamples, alpha and seed.
    """
    rng = np.random.default_rng(settings.seed)
    terms = np.column_stack([column for pair in ratios.values() for column in pair])
    songs = len(terms)
    drawn = np.empty((settings.resamples, terms.shape[1]))
    for start in range(0, settings.resamples, 100):
        size = min(100, settings.resamples - start)
        drawn[start : start + size] = rng.multinomial(songs, np.full(songs, 1 / songs), size=size) @ terms
    values = drawn[:, 0::2] / drawn[:, 1::2]
    tail = JUDGED_AT * settings.alpha
    low, high = np.quantile(values, [tail, 1 - tail], axis=0)
    points = terms[:, 0::2].sum(axis=0) / terms[:, 1::2].sum(axis=0)
    return {
        name: Bounds(
            value=float(points[index]),
            standard_error=float(values[:, index].std(ddof=1)),
            low=float(min(low[index], points[index])),
            high=float(max(high[index], points[index])),
        )
        for index, name in enumerate(ratios)
    }

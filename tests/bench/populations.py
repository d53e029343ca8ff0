"""Populations of songs on which a champion and a challenger differ by exactly so much.

The songs are synthetic; their shape is that of the real charts: half of the songs have five chart rows or
fewer and chart in one country, one in a hundred has ninety rows or more, and the spread of the rows makes 474
songs worth about 80 of equal weight. A test set is drawn from such a population with replacement, so the
difference that a comparison tries to find is known exactly.
"""

from dataclasses import dataclass

import numpy as np

SONGS = 400_000
"""Songs of a population."""

ROWS_BY_COUNTRY = 5.5
"""Chart rows of a song in one country: the real tables hold six days."""

FOUND = 0.3
"""The chance that one of a song's (first five) countries is among the five most probable."""

Ratio = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Population:
    """The terms of the comparison by song, float64 [SONGS]; a positive difference is a better challenger."""

    rows: np.ndarray
    log_loss: np.ndarray
    top5_mass: np.ndarray
    hit_at_5: np.ndarray

    def ratios(self, songs: np.ndarray | slice = slice(None)) -> dict[str, Ratio]:
        """Return the ratios of the songs, as `ml.measure.resampling.compare_ratios` takes them."""
        rows = self.rows[songs]
        return {
            "log_loss": (self.log_loss[songs], rows),
            "top5_mass": (self.top5_mass[songs], rows),
            "hit_at_5": (self.hit_at_5[songs], np.ones_like(rows)),
        }

    def differences(self) -> dict[str, float]:
        """Return the true difference of each metric."""
        return {name: float(top.sum() / bottom.sum()) for name, (top, bottom) in self.ratios().items()}


def population(differences: dict[str, float], seed: int = 1, songs: int = SONGS) -> Population:
    """Make a population in which challenger minus champion is exactly ``differences``, by metric.

    A challenger's loss differs by 0.2 nats a row from song to song, with a long tail, and more on songs of
    few rows: about what two different kinds of model show on the real charts. Three songs in ten
    get other countries into the first five, besides those that they lose or win by the difference.
    """
    rng = np.random.default_rng(seed)
    rows = chart_rows(rng, songs)
    countries = np.maximum(1, np.round(rows / ROWS_BY_COUNTRY))
    # A gamma's long tail is on the challenger's bad side: a few songs that it has wholly wrong.
    gain = 0.1 * (4 - rng.gamma(4.0, 1.0, songs)) * (1 + 2 / np.sqrt(rows)) / 1.5
    champion = _found(rng, countries)
    challenger = np.where(rng.random(songs) < 0.3, _found(rng, countries), champion)
    hits = (challenger > 0).astype(float) - (champion > 0)
    return Population(
        rows=rows,
        log_loss=rows * _shifted(gain, rows, differences["log_loss"]),
        top5_mass=_changed(rng, challenger - champion, rows / countries, rows, differences["top5_mass"]),
        hit_at_5=_changed(rng, hits, np.ones(songs), np.ones(songs), differences["hit_at_5"]),
    )


def chart_rows(rng: np.random.Generator, songs: int) -> np.ndarray:
    """Draw chart rows by song: few for most, and a heavy tail that ends where six days in all charts do."""
    few = rng.choice(
        [1, 2, 3, 4, 5, 6, 7, 8, 10], songs, p=[0.14, 0.05, 0.05, 0.08, 0.3, 0.23, 0.06, 0.05, 0.04]
    )
    many = np.minimum(11 * (1 - rng.random(songs)) ** (-1 / 1.2), 250)
    return np.where(rng.random(songs) < 0.12, np.floor(many), few).astype(float)


def _found(rng: np.random.Generator, countries: np.ndarray) -> np.ndarray:
    """Draw how many of a song's countries are among its five most probable."""
    return rng.binomial(np.minimum(5, countries).astype(int), FOUND).astype(float)


def _shifted(values: np.ndarray, weights: np.ndarray, mean: float) -> np.ndarray:
    return np.asarray(values - np.average(values, weights=weights) + mean)


def _changed(
    rng: np.random.Generator, found: np.ndarray, worth: np.ndarray, weights: np.ndarray, mean: float
) -> np.ndarray:
    """Return ``found * worth``, after songs enough for the mean to be right lost (or won) a country."""
    missing = mean * weights.sum() - found @ worth
    sign = np.sign(missing)
    order = rng.permutation(np.flatnonzero(found * sign <= 0))
    count = int(np.searchsorted(worth[order].cumsum(), abs(missing)))
    terms = found * worth
    terms[order[:count]] += sign * worth[order[:count]]
    # No whole country makes it exact: one more song changes by the rest.
    terms[order[count]] += mean * weights.sum() - terms.sum()
    return np.asarray(terms)

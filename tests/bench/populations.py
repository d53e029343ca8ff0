"""Populations of songs on which a champion and a challenger differ by exactly so much.

The songs are synthetic; their shape is that of the real charts: half of the songs have five chart rows or
fewer and chart in one country, one in a hundred has ninety rows or more, and the spread of the rows makes 474
songs worth about 80 of equal weight. A test set is drawn from such a population with replacement, so the
difference that a comparison tries to find is known exactly.
"""

from dataclasses import dataclass

import numpy as np

SONGS = 400_000
ROWS_BY_COUNTRY = 5.5
"""Chart rows of a song in one country: the real tables hold six days."""

FOUND = 0.3
"""The chance that one of a song's (first five) countries is among the five most probable."""


@dataclass(frozen=True)
class Population:
    """The terms of the comparison by song, float64 [SONGS]; a positive difference is a better challenger."""

    rows: np.ndarray
    terms: dict[str, np.ndarray]

    def ratios(self, songs: np.ndarray | slice = slice(None)) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Return the ratios of the songs by metric, as `ml.measure.resampling.compare_ratios` takes them."""
        rows = self.rows[songs]
        below = {"hit@5": np.ones_like(rows)}
        return {name: (terms[songs], below.get(name, rows)) for name, terms in self.terms.items()}


def population(differences: dict[str, float], songs: int = SONGS) -> Population:
    """Make a population in which challenger minus champion is exactly ``differences``, by metric.

    A challenger's loss differs by 0.2 nats a row from song to song, with a long tail, and more on songs of
    few rows: about what two different kinds of model show on the real charts. Three songs in ten
    get other countries into the first five, besides those that they lose or win by the difference.
    """
    rng = np.random.default_rng(1)
    rows = chart_rows(rng, songs)
    countries = np.maximum(1, np.round(rows / ROWS_BY_COUNTRY))
    # A gamma's long tail is on the challenger's bad side: a few songs that it has wholly wrong.
    gain = 0.1 * (4 - rng.gamma(4.0, 1.0, songs)) * (1 + 2 / np.sqrt(rows)) / 1.5
    # How many of a song's countries are among its five most probable.
    most = np.minimum(5, countries).astype(int)
    champion = rng.binomial(most, FOUND).astype(float)
    challenger = np.where(rng.random(songs) < 0.3, rng.binomial(most, FOUND), champion)
    hits = (challenger > 0).astype(float) - (champion > 0)
    loss = rows * (gain - np.average(gain, weights=rows) + differences["log loss"])
    mass = _changed(rng, challenger - champion, rows / countries, rows, differences["top-5 mass"])
    hit = _changed(rng, hits, np.ones(songs), np.ones(songs), differences["hit@5"])
    return Population(rows, {"log loss": loss, "top-5 mass": mass, "hit@5": hit})


def chart_rows(rng: np.random.Generator, songs: int) -> np.ndarray:
    """Draw chart rows by song: few for most, and a heavy tail that ends where six days in all charts do."""
    shares = {1: 0.14, 2: 0.05, 3: 0.05, 4: 0.08, 5: 0.3, 6: 0.23, 7: 0.06, 8: 0.05, 10: 0.04}
    few = rng.choice(list(shares), songs, p=list(shares.values()))
    many = np.minimum(11 * (1 - rng.random(songs)) ** (-1 / 1.2), 250)
    return np.where(rng.random(songs) < 0.12, np.floor(many), few).astype(float)


def _changed(
    rng: np.random.Generator, gained: np.ndarray, worth: np.ndarray, weights: np.ndarray, mean: float
) -> np.ndarray:
    """Return ``gained * worth``, after songs enough for the mean to be right lost (or won) a country."""
    missing = mean * weights.sum() - gained @ worth
    sign = np.sign(missing)
    order = rng.permutation(np.flatnonzero(gained * sign <= 0))
    count = int(np.searchsorted(worth[order].cumsum(), abs(missing)))
    terms = gained * worth
    terms[order[:count]] += sign * worth[order[:count]]
    # No whole country makes it exact: one more song changes by the rest.
    terms[order[count]] += mean * weights.sum() - terms.sum()
    return terms

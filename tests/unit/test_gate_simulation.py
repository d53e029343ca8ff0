"""The populations of the gate's simulation: they differ by what they say, shaped as the real charts."""

import numpy as np
import pytest
from bench.populations import chart_rows, population


@pytest.mark.parametrize("margins", [-1, 0, 2])
def test_the_true_difference_is_exact_and_a_song_changes_by_what_a_song_can(margins):
    wanted = {"log loss": -0.02 * margins, "top-5 mass": -0.01 * margins, "hit@5": -0.02 * margins}
    songs = population(wanted, songs=20_000)
    differences = {name: top.sum() / below.sum() for name, (top, below) in songs.ratios().items()}
    assert differences == pytest.approx(wanted, abs=1e-12)
    assert np.isin(np.round(songs.terms["hit@5"], 9), (-1, 0, 1)).mean() > 0.9999
    assert (np.abs(songs.terms["top-5 mass"]) <= np.minimum(songs.rows + 1e-9, 5 * 10)).all()


def test_rows_are_as_skewed_as_the_real_charts():
    rows = chart_rows(np.random.default_rng(1), 100_000)
    assert np.percentile(rows, [25, 50, 75]).tolist() == pytest.approx([4, 5, 6], abs=1)
    assert 60 < np.percentile(rows, 99) < 130
    assert 4 < (rows**2).mean() / rows.mean() ** 2 < 8

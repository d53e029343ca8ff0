"""Exact bounds of wins and losses: right by enumeration, and only where few examples are won or lost."""

import numpy as np
import pytest
from policies import default_policy
from scipy.stats import beta, binom

from ml.gate.resampling import Estimate
from ml.measure.paired import FEW, widen

ALPHA = 0.05
MARGIN = default_policy().champion.margin_hit_at_5


def widened(won, lost, of, reach=0.0):
    """Return bounds that lie ``reach`` beside the mean, and what they are widened to."""
    examples = np.repeat([1.0, -1.0, 0.0], [won, lost, of - won - lost])
    mean = float(examples.mean())
    given = Estimate(value=mean, standard_error=0.1, low=mean - reach, high=mean + reach)
    return given, widen(given, examples, ALPHA)


@pytest.mark.parametrize("of", [90, 100, 105, 110, 115, 120, 150, 200, 300, 400])
def test_a_model_that_only_loses_passes_with_alpha_at_most(of):
    passing = [lost for lost in range(FEW) if widened(0, lost, of)[1].low >= -MARGIN]
    assert passing == list(range(len(passing)))
    assert passing
    assert binom.cdf(passing[-1], of, MARGIN) <= ALPHA


@pytest.mark.parametrize(
    ("won", "lost", "of"),
    [
        (0, 0, 30),
        (3, 0, 30),
        (0, 3, 30),
        (5, 9, 30),
        (10, 0, 30),
        (0, 10, 30),
        (5, 0, 5),
        (0, 5, 5),
        (0, 29, 99),
    ],
)
def test_the_ends_are_differences_of_clopper_and_pearsons(won, lost, of):
    low = {0: 0.0} | {count: beta.ppf(ALPHA / 2, count, of - count + 1) for count in range(1, of + 1)}
    high = {of: 1.0} | {count: beta.ppf(1 - ALPHA / 2, count + 1, of - count) for count in range(of)}
    found = widened(won, lost, of)[1]
    assert found.low == pytest.approx(low[won] - high[lost], abs=1e-12)
    assert found.high == pytest.approx(high[won] - low[lost], abs=1e-12)


@pytest.mark.parametrize(("won", "lost", "reach"), [(2, 3, 0.9), (0, FEW, 0.0)])
def test_bounds_that_are_wider_stay_and_so_do_those_of_many_examples(won, lost, reach):
    given, found = widened(won, lost, 100, reach)
    assert found == given

"""Exact bounds of wins and losses: right by enumeration, and only where few songs are won or lost."""

import numpy as np
import pytest
from policies import default_policy
from scipy.stats import binom, binomtest

from ml.gate.resampling import Estimate, Resampling
from ml.measure.paired import FEW, widen
from ml.measure.resampling import compare_ratios

ALPHA = 0.05
MARGIN = default_policy().champion.margin_hit_at_5


def songs(won, lost, of):
    return np.repeat([1.0, -1.0, 0.0], [won, lost, of - won - lost])


def point(differences):
    mean = float(differences.mean())
    return Estimate(value=mean, standard_error=0.0, low=mean, high=mean)


@pytest.mark.parametrize("of", [90, 100, 105, 110, 115, 120, 150, 200, 300, 400])
def test_a_model_that_only_loses_passes_with_alpha_at_most(of):
    passing = [lost for lost in range(FEW) if widen(point(d := songs(0, lost, of)), d, ALPHA).low >= -MARGIN]
    assert passing == list(range(len(passing)))
    assert passing
    assert binom.cdf(passing[-1], of, MARGIN) <= ALPHA


def test_resampling_alone_would_let_it_pass_too_often():
    settings = Resampling(resamples=2000, alpha=ALPHA, seed=7)
    lost = songs(0, 2, 100)
    found = compare_ratios({"hit": (lost, np.ones(100))}, settings)["hit"]
    assert found.low > -MARGIN
    assert binom.cdf(2, 100, MARGIN) > 2 * ALPHA
    assert widen(found, lost, ALPHA).low < -MARGIN


@pytest.mark.parametrize(("won", "lost"), [(0, 0), (3, 0), (0, 3), (5, 9), (10, 0), (0, 10)])
def test_the_ends_are_differences_of_clopper_and_pearsons(won, lost):
    exact = [binomtest(count, 10 + 20).proportion_ci(1 - ALPHA) for count in (won, lost)]
    found = widen(point(d := songs(won, lost, 30)), d, ALPHA)
    assert found.low == pytest.approx(exact[0].low - exact[1].high)
    assert found.high == pytest.approx(exact[0].high - exact[1].low)


def test_all_songs_may_be_won_or_lost():
    assert widen(point(d := songs(5, 0, 5)), d, ALPHA).high == 1.0
    assert widen(point(d := songs(0, 5, 5)), d, ALPHA).low == -1.0


def test_bounds_that_are_wider_stay_and_so_do_those_of_many_songs():
    few, many = songs(2, 3, 100), songs(0, FEW, 100)
    wide = Estimate(value=-0.01, standard_error=0.1, low=-0.9, high=0.9)
    assert widen(wide, few, ALPHA) == wide
    assert widen(point(many), many, ALPHA) == point(many)
    fewer = songs(0, FEW - 1, 100)
    assert widen(point(fewer), fewer, ALPHA).low < point(fewer).low

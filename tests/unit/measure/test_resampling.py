"""The bounds of a comparison: a studentised bootstrap, seeded, paired, and strict where it knows little."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import t as student

from ml.core.records import LARGEST
from ml.gate.resampling import JUDGED_AT
from ml.measure import draws
from ml.measure.resampling import (
    BOOTSTRAP,
    RESAMPLING,
    Measured,
    compare_ratios,
    p_below,
    percentile_intervals,
)


def settings(**changes):
    return RESAMPLING.model_copy(update={"resamples": 2000, **changes})


def bounds(ratio, **changes):
    return compare_ratios({"x": ratio}, settings(**changes))["x"]


def intervals(ratio, **changes):
    return percentile_intervals({"x": ratio}, BOOTSTRAP.model_copy(update=changes))["x"]


def skewed(examples=60, seed=3):
    """A few examples with most of the rows, and a gain that depends on them."""
    rng = np.random.default_rng(seed)
    rows = np.ceil(4 * rng.pareto(1.1, examples)) + 1
    return rows * rng.normal(-0.05, 0.3, examples), rows


def fit(top, bottom):
    """Return a ratio and its standard error, as the book has them."""
    value = top.sum() / bottom.sum()
    error = np.sqrt(len(top) / (len(top) - 1) * ((top - value * bottom) ** 2).sum()) / bottom.sum()
    return value, error


TOP, ROWS = skewed()


def test_bounds_and_percentiles_are_those_of_a_plain_loop_over_resamples():
    value, error = fit(TOP, ROWS)
    drawn = np.array([fit(TOP[i], ROWS[i]) for i in np.random.default_rng(11).integers(0, 60, (4000, 60))])
    found, tail = bounds((TOP, ROWS), resamples=4000, alpha=0.2), JUDGED_AT * 0.2
    t, limit = (drawn[:, 0] - value) / drawn[:, 1], student.ppf(1 - tail, 59)
    above, below = max(limit, np.quantile(t, 1 - tail)), max(limit, -np.quantile(t, tail))
    assert (found.value, found.standard_error) == pytest.approx((value, error))
    assert (found.low, found.high) == pytest.approx(
        (value - above * error, value + below * error), abs=0.15 * error
    )
    interval = intervals((TOP, ROWS), resamples=4000, confidence=0.8)
    ends = tuple(np.quantile(drawn[:, 0], [0.1, 0.9]))
    assert interval.value == pytest.approx(value)
    assert (interval.low, interval.high) == pytest.approx(ends, abs=0.15 * error)


def test_a_bound_is_never_closer_than_students():
    for seed, sign in product(range(10), (1, -1)):
        top, rows = skewed(20, seed)
        found = bounds((sign * top, rows))
        limit = student.ppf(1 - JUDGED_AT * 0.05, 19) * found.standard_error * (1 - 1e-12)
        assert min(found.value - found.low, found.high - found.value) >= limit


def test_the_same_seed_gives_the_same_bounds_on_any_number_of_threads(monkeypatch):
    ratio = skewed(3000)
    assert len(range(0, 2000, draws.CHUNK // 3000)) > 2
    first = (bounds(ratio), intervals(ratio))
    for threads in (1, 7):
        monkeypatch.setattr(draws.os, "cpu_count", lambda threads=threads: threads)
        assert (bounds(ratio), intervals(ratio)) == first
    assert bounds(ratio, seed=8) != first[0]
    assert intervals(ratio, seed=8) != first[1]


def test_a_ratio_has_the_same_bounds_in_any_company():
    """All are computed on the same resamples: what else is asked for changes nothing."""
    hit = (np.sign(TOP), np.ones(60))
    together = compare_ratios({"a": (TOP, ROWS), "b": hit, "c": (2 * TOP, ROWS)}, settings())
    assert bounds(hit) == together["b"]
    assert bounds((TOP, ROWS)).low == pytest.approx(together["a"].low)
    assert together["c"].low == pytest.approx(2 * together["a"].low)


def test_without_variation_the_bounds_are_the_value_and_one_example_says_nothing():
    one = (np.array([-3.0]), np.array([2.0]))
    assert (bounds(one).value, bounds(one).low, bounds(one).high) == (-1.5, -LARGEST, LARGEST)
    assert p_below(one, 5.0, settings()) == Measured(-1.5, 0.0, 1.0)
    ratio = (0.1 * ROWS, ROWS)
    found, interval = bounds(ratio), intervals(ratio)
    assert found.low == found.value == found.high == pytest.approx(0.1)
    assert (interval.low, interval.high) == pytest.approx((0.1, 0.1))
    assert found.standard_error == 0
    # Two examples of two hundred differ: many a resample draws neither.
    assert -0.05 < bounds((np.repeat([-1.0, 0.0], [2, 198]), np.ones(200))).low < -0.02


def test_the_p_value_is_at_most_alpha_just_where_the_upper_bound_is_below():
    for seed in range(5):
        ratio = skewed(40, seed)
        found = bounds(ratio)
        step = 1e-6 * found.standard_error
        assert p_below(ratio, found.high + step, settings()).p_value <= 0.05
        assert p_below(ratio, found.high - step, settings()).p_value > 0.05
        assert p_below(ratio, found.value, settings()) == Measured(found.value, found.standard_error, 1.0)


def test_the_p_value_has_a_floor_and_needs_variation():
    smallest = settings().smallest_p
    assert smallest == pytest.approx(1 / (JUDGED_AT * 2001))
    assert p_below((-ROWS, ROWS), 0.0, settings()).p_value == smallest
    assert p_below((0 * ROWS, ROWS), 0.0, settings()).p_value == 1.0
    assert smallest <= p_below((TOP, ROWS), 100.0, settings()).p_value <= 2 * smallest
    assert settings(resamples=0).smallest_p == 1.0


@pytest.mark.parametrize(
    ("top", "bottom", "changes", "said"),
    [
        ([1, 1, 1], [1, 1, 1, 1], {}, "x: not a ratio"),
        ([], [], {}, "x: not a ratio"),
        ([1, 1], [0, 0], {}, "x: not a ratio"),
        ([1, 2], [1, 1], {"resamples": 100, "alpha": 0.01}, "100 resamples are too few"),
    ],
)
def test_what_cannot_be_bounded_is_refused(top, bottom, changes, said):
    with pytest.raises(ValueError, match=said):
        bounds((np.array(top, float), np.array(bottom, float)), **changes)

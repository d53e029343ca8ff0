"""The bounds of a comparison: a studentised bootstrap, seeded, paired, and strict where it knows little."""

import numpy as np
import pytest
from scipy.stats import t as student

from ml.core.records import LARGEST
from ml.gate.resampling import JUDGED_AT
from ml.model import draws
from ml.model.resampling import (
    BOOTSTRAP,
    RESAMPLING,
    Measured,
    compare_ratios,
    p_below,
    percentile_intervals,
)


def settings(**changes):
    return RESAMPLING.model_copy(update=changes)


SETTINGS = settings(resamples=2000)


def skewed(songs=60, seed=3):
    """A few songs with most of the rows, and a gain that depends on them."""
    rng = np.random.default_rng(seed)
    rows = np.ceil(4 * rng.pareto(1.1, songs)) + 1
    return rows * rng.normal(-0.05, 0.3, songs), rows


def loop(top, bottom, resamples=4000):
    """Student's t of each resample, song by song, as the book has it."""
    rng = np.random.default_rng(11)

    def fit(top, bottom):
        value = top.sum() / bottom.sum()
        error = np.sqrt(len(top) / (len(top) - 1) * ((top - value * bottom) ** 2).sum()) / bottom.sum()
        return value, error

    value, error = fit(top, bottom)
    found = []
    for _ in range(resamples):
        songs = rng.integers(0, len(top), len(top))
        again, its_error = fit(top[songs], bottom[songs])
        found.append((again - value) / its_error)
    return value, error, np.array(found)


def test_the_bounds_are_those_of_a_plain_loop_over_resamples():
    top, bottom = skewed()
    value, error, t = loop(top, bottom)
    bounds = compare_ratios({"x": (top, bottom)}, settings(resamples=4000))["x"]
    assert bounds.value == pytest.approx(value)
    assert bounds.standard_error == pytest.approx(error)
    tail = JUDGED_AT * 0.05
    limit = student.ppf(1 - tail, 59)
    assert bounds.low == pytest.approx(value - max(limit, np.quantile(t, 1 - tail)) * error, abs=0.15 * error)
    assert bounds.high == pytest.approx(value + max(limit, -np.quantile(t, tail)) * error, abs=0.15 * error)


def test_a_bound_is_never_closer_than_students():
    for seed in range(10):
        bounds = compare_ratios({"x": skewed(20, seed)}, SETTINGS)["x"]
        limit = student.ppf(1 - JUDGED_AT * 0.05, 19) * bounds.standard_error
        assert bounds.low <= bounds.value - limit * (1 - 1e-12)
        assert bounds.high >= bounds.value + limit * (1 - 1e-12)


def test_a_smaller_alpha_gives_wider_bounds():
    wide, narrow = (
        compare_ratios({"x": skewed()}, settings(resamples=2000, alpha=alpha))["x"] for alpha in (0.01, 0.1)
    )
    assert wide.low < narrow.low < narrow.high < wide.high


def test_the_same_seed_gives_the_same_bounds_on_any_number_of_threads(monkeypatch):
    ratios = {"x": skewed(3000)}
    assert len(range(0, 2000, draws.CHUNK // 3000)) > 2
    first = compare_ratios(ratios, SETTINGS)
    for threads in (1, 2, 7):
        monkeypatch.setattr(draws.os, "cpu_count", lambda threads=threads: threads)
        assert compare_ratios(ratios, SETTINGS) == first
    assert compare_ratios(ratios, settings(resamples=2000, seed=8)) != first


def test_a_ratio_has_the_same_bounds_in_any_company():
    """All are computed on the same resamples: what else is asked for changes nothing."""
    gain, rows = skewed()
    ones = np.ones_like(rows)
    together = compare_ratios(
        {"a": (gain, rows), "b": (np.sign(gain), ones), "c": (2 * gain, rows)}, SETTINGS
    )
    assert compare_ratios({"b": (np.sign(gain), ones)}, SETTINGS)["b"] == together["b"]
    assert compare_ratios({"a": (gain, rows)}, SETTINGS)["a"].low == pytest.approx(together["a"].low)
    assert together["c"].low == pytest.approx(2 * together["a"].low)


@pytest.mark.parametrize("difference", [0.0, 0.1])
def test_without_variation_the_bounds_are_the_value(difference):
    _, rows = skewed()
    bounds = compare_ratios({"x": (difference * rows, rows)}, SETTINGS)["x"]
    assert bounds.low == bounds.value == bounds.high == pytest.approx(difference)
    assert bounds.standard_error == 0


def test_one_song_says_nothing():
    one = (np.array([-3.0]), np.array([2.0]))
    bounds = compare_ratios({"x": one}, SETTINGS)["x"]
    assert (bounds.value, bounds.low, bounds.high) == (-1.5, -LARGEST, LARGEST)
    assert p_below(one, 5.0, SETTINGS) == Measured(-1.5, 0.0, 1.0)


def test_songs_that_lose_all_at_once_do_not_break_the_bounds():
    """Two songs of two hundred differ: many a resample draws neither, and has no variation."""
    difference = np.zeros(200)
    difference[:2] = -1
    bounds = compare_ratios({"x": (difference, np.ones(200))}, SETTINGS)["x"]
    assert -0.05 < bounds.low < -0.02


def test_the_p_value_is_at_most_alpha_just_where_the_upper_bound_is_below():
    for seed in range(8):
        ratio = skewed(40, seed)
        bounds = compare_ratios({"x": ratio}, SETTINGS)["x"]
        step = 1e-6 * bounds.standard_error
        assert p_below(ratio, bounds.high + step, SETTINGS).p_value <= 0.05
        assert p_below(ratio, bounds.high - step, SETTINGS).p_value > 0.05
        at_it = p_below(ratio, bounds.value, SETTINGS)
        assert at_it == Measured(bounds.value, bounds.standard_error, 1.0)


def test_the_p_value_has_a_floor_and_needs_variation():
    _, rows = skewed()
    smallest = SETTINGS.smallest_p
    assert smallest == pytest.approx(1 / (JUDGED_AT * 2001))
    assert p_below((-rows, rows), 0.0, SETTINGS).p_value == smallest
    assert p_below((0 * rows, rows), 0.0, SETTINGS).p_value == 1.0
    assert smallest <= p_below(skewed(), 100.0, SETTINGS).p_value <= 2 * smallest
    assert settings(resamples=0).smallest_p == 1.0


@pytest.mark.parametrize(
    ("top", "bottom"),
    [(np.ones(3), np.ones(4)), (np.ones(0), np.ones(0)), (np.ones(2), np.zeros(2))],
    ids=str,
)
def test_what_is_no_ratio_is_refused_by_name(top, bottom):
    with pytest.raises(ValueError, match="hit_at_5: no ratio"):
        compare_ratios({"hit_at_5": (top, bottom)}, SETTINGS)


def test_too_few_resamples_for_the_alpha_are_refused():
    with pytest.raises(ValueError, match="100 resamples are too few"):
        compare_ratios({"x": skewed()}, settings(resamples=100, alpha=0.01))


def test_percentiles_are_those_of_a_plain_loop_over_resamples():
    top, bottom = skewed()
    settings = BOOTSTRAP.model_copy(update={"resamples": 4000, "confidence": 0.9})
    interval = percentile_intervals({"x": (top, bottom)}, settings)["x"]
    rng = np.random.default_rng(5)
    drawn = [top[songs].sum() / bottom[songs].sum() for songs in rng.integers(0, 60, (4000, 60))]
    low, high = np.quantile(drawn, [0.05, 0.95])
    assert interval.value == pytest.approx(top.sum() / bottom.sum())
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.08 * (high - low))


def test_percentiles_are_seeded_and_paired():
    """A constant gain has no width: numerator and denominator come from the same songs."""
    top, rows = skewed()
    ratios = {"x": (top, rows), "gain": (0.1 * rows, rows)}
    found = percentile_intervals(ratios, BOOTSTRAP)
    assert percentile_intervals(ratios, BOOTSTRAP) == found
    assert percentile_intervals(ratios, BOOTSTRAP.model_copy(update={"seed": 8})) != found
    assert (found["gain"].low, found["gain"].high) == pytest.approx((0.1, 0.1))

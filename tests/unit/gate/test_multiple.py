"""Multiple tests: Holm and Benjamini-Hochberg, as SciPy and the definitions have them."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from ml.gate.multiple import rejected

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=30)


def holm_adjusted(p_values):
    """Adjusted p-values by the definition: the running maximum of (m - k + 1) times the k-th smallest."""
    order = np.argsort(p_values, kind="stable")
    steps = np.arange(len(p_values), 0, -1) * np.asarray(p_values)[order]
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(steps))
    return adjusted


@pytest.mark.parametrize(
    ("method", "expected"),
    # 0.05 / 4 = 0.0125, then 0.0167, 0.025, 0.05; and 0.0125, 0.025, 0.0375, 0.05.
    [("holm", [2, 0]), ("benjamini-hochberg", [2, 0, 3, 1])],
)
def test_an_example_by_hand(method, expected):
    assert rejected([0.0166, 0.0499, 0.0125, 0.0376], 0.05, method) == expected


def test_one_large_p_value_stops_holm_but_not_what_lies_above_it_for_the_other():
    values = [0.02, 0.02, 0.02, 0.9, 1.0]
    assert rejected(values, 0.05, "holm") == []
    assert rejected(values, 0.05, "benjamini-hochberg") == [0, 1, 2]


@pytest.mark.parametrize("method", ["holm", "benjamini-hochberg"])
def test_no_tests_reject_nothing(method):
    assert rejected([], 0.05, method) == []
    assert rejected([0.06], 0.05, method) == []
    assert rejected([0.05], 0.05, method) == [0]


@given(P_VALUES)
def test_benjamini_hochberg_rejects_what_scipy_adjusts_below_alpha(values):
    adjusted = false_discovery_control(values)
    found = set(rejected(values, 0.05, "benjamini-hochberg"))
    clear = {index for index, p in enumerate(adjusted) if abs(p - 0.05) > 1e-12}
    assert found & clear == {index for index in clear if adjusted[index] < 0.05}


@given(P_VALUES)
def test_holm_rejects_what_its_adjusted_p_values_say(values):
    adjusted = holm_adjusted(values)
    found = set(rejected(values, 0.05, "holm"))
    clear = {index for index, p in enumerate(adjusted) if abs(p - 0.05) > 1e-12}
    assert found & clear == {index for index in clear if adjusted[index] < 0.05}


@given(P_VALUES)
def test_holm_rejects_no_more_than_the_other(values):
    assert set(rejected(values, 0.05, "holm")) <= set(rejected(values, 0.05, "benjamini-hochberg"))


def test_holm_keeps_the_chance_of_any_false_rejection():
    rng = random.Random(3)
    wrong = sum(bool(rejected([rng.random() for _ in range(70)], 0.05, "holm")) for _ in range(4000))
    # Three standard errors above the 5 % of 4,000.
    assert 0.035 < wrong / 4000 < 0.05 + 3 * (0.05 * 0.95 / 4000) ** 0.5

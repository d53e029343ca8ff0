"""Multiple tests: Holm and Benjamini-Hochberg, as SciPy and the definitions have them."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from ml.gate.multiple import rejected


def holm_adjusted(p_values):
    """Adjusted p-values by the definition: the running maximum of (m - k + 1) times the k-th smallest."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(p_values))
    steps = np.arange(len(p_values), 0, -1) * np.asarray(p_values)[order]
    adjusted[order] = np.minimum(1, np.maximum.accumulate(steps))
    return adjusted


ADJUSTED = {"holm": holm_adjusted, "benjamini-hochberg": false_discovery_control}


@pytest.mark.parametrize(
    ("values", "holm", "benjamini_hochberg"),
    [
        # 0.05 / 4 = 0.0125, then 0.0167, 0.025, 0.05; and 0.0125, 0.025, 0.0375, 0.05.
        ([0.0166, 0.0499, 0.0125, 0.0376], [2, 0], [2, 0, 3, 1]),
        # One large p-value stops Holm, but not what lies above it for the other.
        ([0.02, 0.02, 0.02, 0.9, 1.0], [], [0, 1, 2]),
        ([], [], []),
        ([0.06], [], []),
        ([0.05], [0], [0]),
    ],
)
def test_examples_by_hand(values, holm, benjamini_hochberg):
    assert rejected(values, 0.05, "holm") == holm
    assert rejected(values, 0.05, "benjamini-hochberg") == benjamini_hochberg


@pytest.mark.parametrize("method", ADJUSTED)
@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_what_is_adjusted_below_alpha_is_rejected(values, method):
    adjusted = ADJUSTED[method](values)
    clear = {index for index, p in enumerate(adjusted) if abs(p - 0.05) > 1e-12}
    assert {*rejected(values, 0.05, method)} & clear == {index for index in clear if adjusted[index] < 0.05}


def test_holm_keeps_the_chance_of_any_false_rejection():
    rng = random.Random(3)
    wrong = sum(bool(rejected([rng.random() for _ in range(70)], 0.05, "holm")) for _ in range(4000))
    # Three standard errors above the 5 % of 4,000.
    assert 0.035 < wrong / 4000 < 0.05 + 3 * (0.05 * 0.95 / 4000) ** 0.5

"""The profile: of the examples alone, small, and without an example in it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr
from tiers import SLOW

from ml.core.errors import DataError
from ml.data.profile import QUANTILES, Profile, make_profile, pairs
from ml.gate.subjects.drift import KNOWN_EXAMPLES
from ml.problem import Examples

FEATURES = ("size", "flag", "age", "width")


def examples_of(count: int, seed: int = 5) -> Examples:
    rng = np.random.default_rng(seed)
    features = rng.random((count, len(FEATURES))).astype("float32")
    features[:, 1] = features[:, 0] + features[:, 1] > 1
    ids = [f"{number:022x}" for number in range(count)]
    return Examples(ids, features, rng.integers(1, 5, (count, 3)).astype("int32"), ("x", "y", "z"))


def profile_of(examples: Examples) -> Profile:
    return make_profile(examples, FEATURES, "0123456789abcdef", synthetic=True)


def test_it_counts_and_measures_the_examples():
    examples = examples_of(300)
    found = profile_of(examples)
    assert (found.examples, found.rows, len(found.known)) == (300, examples.counts.sum(), 300)
    assert (found.data_version, found.synthetic, found.features) == ("0123456789abcdef", True, FEATURES)
    assert found.classes == dict(zip("xyz", examples.counts.sum(axis=0).tolist(), strict=True))
    for name, values in zip(FEATURES, examples.features.T, strict=True):
        quantiles = found.quantiles[name]
        assert len(quantiles) == QUANTILES
        assert (quantiles[0], quantiles[-1]) == pytest.approx((values.min(), values.max()))
        assert quantiles[QUANTILES // 2] == pytest.approx(np.median(values), rel=1e-6)
    matrix = spearmanr(examples.features).statistic
    expected = [matrix[FEATURES.index(one), FEATURES.index(other)] for one, other in pairs(FEATURES)]
    assert found.correlations == pytest.approx(expected, abs=1e-8)


def test_it_is_read_back_as_it_was_written():
    found = profile_of(examples_of(30))
    assert Profile.load(json.loads(found.to_bytes())) == found


@SLOW
def test_of_a_hundred_thousand_examples_it_is_small_and_holds_no_id():
    examples = examples_of(100_000)
    found = profile_of(examples)
    data = found.to_bytes().decode()
    assert (found.examples, len(found.known)) == (100_000, KNOWN_EXAMPLES)
    assert len(data) < 300_000
    assert [one for one in examples.ids if one in data] == []


def test_an_example_is_known_by_its_features_and_the_class_of_most_of_its_rows():
    examples = replace(examples_of(2), counts=np.array([[2, 3, 0], [2, 0, 2]], dtype="int32"))
    before = profile_of(examples).known
    # The second has as many rows of two classes: the first of them counts.
    assert sorted(one.home for one in before.values()) == ["x", "y"]
    examples.features[1, 2] += 0.001
    after = profile_of(examples).known
    assert before.keys() == after.keys()
    assert sum(before[key].features != after[key].features for key in before) == 1


def test_a_constant_correlates_with_nothing_and_examples_with_anothers_features_are_twins():
    examples = examples_of(4)
    examples.features[:, 3] = 7
    examples.features[1] = examples.features[0]
    found = profile_of(examples)
    of_width = [rho for rho, pair in zip(found.correlations, pairs(FEATURES), strict=True) if "width" in pair]
    assert of_width == [0.0] * 3
    assert found.twins == 0.5


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_feature_that_is_no_finite_number_makes_no_profile(value):
    examples = examples_of(3)
    examples.features[1, 1] = value
    with pytest.raises(DataError, match="a feature is null or not a finite number; the data contract should"):
        profile_of(examples)

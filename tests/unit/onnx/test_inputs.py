"""The input families hold what they say, in every feature and of both signs."""

import numpy as np
import pytest
from policies import default_policy

from ml.onnx.inputs import HUGE, NOTHING, TINY, UNANSWERED, input_families
from ml.problem import LARGEST

FEATURES = np.random.default_rng(0).normal(size=(50, 5)).astype("float32")
FAMILIES = input_families(FEATURES)


def test_the_policy_asks_for_each_family():
    assert sorted(default_policy().parity.required_families) == sorted(FAMILIES)
    assert default_policy().parity.unanswered_families == UNANSWERED


def test_families_hold_the_edges_of_each_feature():
    assert all(rows.dtype == np.float32 and rows.shape[1:] == (5,) for rows in FAMILIES.values())
    low, high = FEATURES.min(axis=0), FEATURES.max(axis=0)
    assert FAMILIES["test"] is FEATURES
    assert FAMILIES["zeros"].tolist() == [[0.0] * 5]
    for name, beyond in (("extremes", 0), ("out_of_range", 0.1)):
        rows = FAMILIES[name]
        assert len(rows) == 10
        assert rows.min(axis=0) == pytest.approx(low - beyond * (high - low))
        assert rows.max(axis=0) == pytest.approx(high + beyond * (high - low))


@pytest.mark.parametrize(("name", "values"), [("denormals", TINY), ("huge", HUGE), ("nonfinite", NOTHING)])
def test_each_value_stands_in_each_feature_alone_and_in_all(name, values):
    rows = FAMILIES[name]
    middle = np.median(FEATURES, axis=0).astype("float32")
    for value in [sign * value for value in values for sign in (1, -1)]:
        there = (rows == np.float32(value)) | (np.isnan(rows) & np.isnan(value))
        assert there.all(axis=1).any()
        alone = there & (np.where(np.isnan(rows), 0, rows) != middle)
        assert alone[alone.sum(axis=1) == 1].any(axis=0).all()


def test_denormals_are_some_and_huge_is_what_a_model_still_answers():
    rows = np.abs(FAMILIES["denormals"])
    assert ((rows > 0) & (rows < np.finfo("float32").tiny)).any(axis=0).all()
    assert np.abs(FAMILIES["huge"]).max() < LARGEST
    assert not (np.abs(FAMILIES["nonfinite"]) <= LARGEST).all(axis=1).any()
    assert (FAMILIES["nonfinite"] > LARGEST).any()

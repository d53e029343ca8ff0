"""The input families hold what they say, in every feature and of both signs."""

import numpy as np
import pytest

from policies import default_policy
from ml.onnx.inputs import HUGE, NOTHING, TINY, UNANSWERED, input_families
from ml.problems.songs.network import LARGEST

FEATURES = np.random.default_rng(0).normal(size=(50, 13)).astype("float32")
FAMILIES = input_families(FEATURES)


def test_the_policy_asks_for_each_family():
    assert sorted(default_policy().parity.required_families) == sorted(FAMILIES)
    assert default_policy().parity.unanswered_families == UNANSWERED


@pytest.mark.parametrize("name", FAMILIES)
def test_each_family_is_rows_of_features(name):
    assert FAMILIES[name].dtype == np.float32
    assert FAMILIES[name].shape[1:] == (13,)
    assert len(FAMILIES[name]) >= 1


def test_families_hold_the_edges_of_each_feature():
    assert FAMILIES["extremes"].min(axis=0) == pytest.approx(FEATURES.min(axis=0))
    assert FAMILIES["extremes"].max(axis=0) == pytest.approx(FEATURES.max(axis=0))
    assert (FAMILIES["out_of_range"].max(axis=0) > FEATURES.max(axis=0)).all()
    assert (FAMILIES["out_of_range"].min(axis=0) < FEATURES.min(axis=0)).all()
    assert not FAMILIES["zeros"].any()


@pytest.mark.parametrize(("name", "values"), [("denormals", TINY), ("huge", HUGE), ("nonfinite", NOTHING)])
def test_each_value_stands_in_each_feature_alone_and_in_all(name, values):
    rows = FAMILIES[name]
    middle = np.median(FEATURES, axis=0).astype("float32")
    for value in [sign * value for value in values for sign in (1, -1)]:
        there = (rows == np.float32(value)) | (np.isnan(rows) & np.isnan(value))
        assert there.any(axis=0).all()
        assert there.all(axis=1).any()
        alone = there & (np.where(np.isnan(rows), 0, rows) != middle)
        assert (alone.sum(axis=1) == 1).sum() >= 13


def test_denormals_are_some():
    smallest = np.finfo("float32").tiny
    rows = np.abs(FAMILIES["denormals"])
    assert ((rows > 0) & (rows < smallest)).any(axis=0).all()


def test_huge_is_what_the_network_still_answers_and_nonfinite_what_it_does_not():
    assert np.abs(FAMILIES["huge"]).max() < LARGEST
    assert not (np.abs(FAMILIES["nonfinite"]) <= LARGEST).all(axis=1).any()
    assert (FAMILIES["nonfinite"] > LARGEST).any()

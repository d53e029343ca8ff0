"""Drift between two profiles: the indices against their definitions, and profiles that cannot be compared."""

import json

import numpy as np
import pytest
from scipy.stats import ks_2samp

from ml.core.canonical import digest
from ml.data.drift import BINS, drift_from, feature_drift, measure_drift
from ml.data.profile import QUANTILES, Profile, make_profile
from ml.problem import Examples

STEP = 1 / QUANTILES
CHAMPION = "c" * 64
FEATURES = ("size", "age")


def _quantiles(values):
    return np.quantile(values, np.linspace(0, 1, QUANTILES))


def _psi_of_raw(before, after):
    """The index by numpy's histogram over the deciles of the raw values."""
    inner = np.quantile(before, np.arange(1, BINS) / BINS)
    edges = np.concatenate([[-np.inf], inner, [np.inf]])
    b, a = (np.histogram(values, edges)[0] / len(values) for values in (before, after))
    return ((a - b) * np.log(a / b)).sum()


def _profile(ids, classes, counts, features=None) -> Profile:
    values = np.arange(2 * len(ids)).reshape(-1, 2) if features is None else features
    examples = Examples(list(ids), values.astype("float32"), np.array(counts, dtype="int32"), tuple(classes))
    return make_profile(examples, FEATURES, "0123456789abcdef", synthetic=True)


OURS = _profile("abc", ["x", "y"], [[1, 2], [3, 0], [0, 1]])


def test_the_index_of_a_truth_value_is_that_of_a_hand_computation():
    # One half before, a fifth after: (0.8 - 0.5) ln(0.8 / 0.5) + (0.2 - 0.5) ln(0.2 / 0.5) = 0.415888
    before, after = (_quantiles(np.repeat([0.0, 1.0], counts)) for counts in ((500, 500), (800, 200)))
    assert feature_drift(before, after).psi == pytest.approx(0.415888, abs=0.015)
    assert feature_drift(before, after).ks == pytest.approx(0.3, abs=STEP)


@pytest.mark.parametrize("flip", [False, True])
def test_a_value_of_nearly_all_examples_has_a_bin_of_its_own_at_either_end(flip):
    before, after = (np.repeat([0.0, 1.0], counts) for counts in ((960, 40), (600, 400)))
    found = feature_drift(*(_quantiles(1 - values if flip else values) for values in (before, after)))
    # (0.6 - 0.96) ln(0.6 / 0.96) + (0.4 - 0.04) ln(0.4 / 0.04) = 0.998
    assert found.psi == pytest.approx(0.998, abs=0.05)


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.2, 1.0), (0.0, 1.3), (0.5, 0.8), (-1.0, 1.0)])
def test_the_indices_are_those_of_the_raw_values_within_the_step_of_the_quantiles(shift, scale):
    rng = np.random.default_rng(3)
    before, after = rng.normal(size=4000), rng.normal(shift, scale, 3000)
    found = feature_drift(_quantiles(before), _quantiles(after))
    assert found.ks == pytest.approx(ks_2samp(before, after).statistic, abs=2 * STEP)
    assert found.psi == pytest.approx(_psi_of_raw(before, after), rel=0.1, abs=0.005)


def test_a_profile_beside_itself_has_not_drifted():
    found = measure_drift(OURS, OURS)
    assert {(drift.psi, drift.ks) for drift in found.features.values()} == {(0.0, 0.0)}
    assert (found.class_shift, found.correlation_change, found.lost_share) == (0, 0, 0)
    assert (found.known_examples, found.changed_examples, found.moved_examples) == (3, 0, 0)


def test_each_number_is_that_of_two_small_tables_counted_by_hand():
    before = _profile("abc", ["i", "n", "s"], [[0, 0, 3], [0, 2, 1], [2, 0, 0]])
    features = np.array([[0, 2], [2, 3], [9, 1]])
    after = _profile("abd", ["d", "n", "s"], [[0, 0, 4], [0, 1, 2], [1, 0, 0]], features)
    found = measure_drift(before, after)
    assert (found.before.examples, found.before.rows) == (found.after.examples, found.after.rows) == (3, 8)
    # Shares in eighths, before and after: d 0 1, i 2 0, n 2 1, s 3 + 1 = 4 6.
    assert found.class_shift == pytest.approx((1 + 2 + 1 + 2) / 8 / 2)
    assert (found.lost_classes, found.new_classes, found.lost_share) == (("i",), ("d",), 0.25)
    # Of a and b, which return, a has another age, and b is of class s now.
    assert (found.known_examples, found.changed_examples, found.moved_examples) == (2, 1, 1)
    # Ranks were the same, and are 1 2 3 beside 2 3 1 now: from 1 to -0.5.
    assert (found.correlation_change, found.correlated) == (pytest.approx(1.5), "size and age")
    assert (found.twins_before, found.twins_after, found.trained_on_synthetic) == (0, 0, True)


def test_one_feature_has_nothing_to_correlate_with():
    examples = Examples(["a"], np.ones((1, 1), "float32"), np.ones((1, 2), "int32"), ("x", "y"))
    profile = make_profile(examples, ("size",), "v", synthetic=False)
    found = measure_drift(profile, profile)
    assert (found.correlation_change, found.correlated) == (0, "nothing")


def _other(**changes) -> bytes:
    return json.dumps({**OURS.to_json(), **changes}).encode()


def _quantiled(**changes) -> bytes:
    return _other(quantiles={**OURS.to_json()["quantiles"], **changes})


V1 = {**OURS.to_json(), "schema": "jukebox.profile/v1"}
CANNOT = "the champion's profile cannot be read: "


@pytest.mark.parametrize(
    ("profile", "reason"),
    [
        (b"", "nobody kept it"),
        (json.dumps(V1, separators=(",", ":")).encode(),
         "the champion's profile is of an earlier release, and cannot"),
        (b"{", CANNOT + "Expecting property name"),
        (b"\xff", "invalid start byte"),
        (b"[]", "object"),
        (OURS.to_bytes()[:-40], CANNOT),
        (_other(schema="jukebox.profile/v9"), "jukebox.profile/v2"),
        (_other(examples=0), "greater than or equal to 1"),
        (_other(examples=9), "not as many examples are known"),
        (_other(correlations=[0.0, 0.0]), "not the correlations of 2 features"),
        (_other(correlations=[2.0]), "not the correlations of 2 features"),
        (_other(quantiles={}), "the features are not those of the quantiles"),
        (_other(features=["age", "size"]), "it is of other features"),
        (_quantiled(age=[]), "age does not have 201 quantiles in order"),
        (_quantiled(age=[*range(201)][::-1]), "age does not have 201 quantiles in order"),
        (_other(rows=1), "the classes' rows are not all rows"),
    ],
)  # fmt: skip
def test_a_profile_that_cannot_be_compared_is_said(profile, reason):
    found = drift_from(CHAMPION, profile, OURS, "nobody kept it")
    assert found.measured is None
    assert reason in found.not_compared
    # An earlier release's counts as absent.
    assert found.profile_digest == digest(b"" if b"profile/v1" in profile else profile)


def test_a_profile_is_compared_with_tables_that_have_one():
    found = drift_from(CHAMPION, OURS.to_bytes(), OURS, "")
    assert (found.champion, found.profile_digest) == (CHAMPION, digest(OURS.to_bytes()))
    assert (found.measured, found.not_compared) == (measure_drift(OURS, OURS), "")
    found = drift_from(CHAMPION, OURS.to_bytes(), None, "")
    assert found.measured is None
    assert found.not_compared == "this run's tables have no profile: they break the contract"

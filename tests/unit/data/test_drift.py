"""Profiles of examples and the drift between two: against their definitions, and what cannot be compared."""

import json

import numpy as np
import pytest
from scipy.stats import ks_2samp, spearmanr

from ml.core.canonical import digest
from ml.core.errors import DataError
from ml.data.drift import BINS, drift_from, feature_drift, measure_drift
from ml.data.profile import QUANTILES, Profile, make_profile, pairs
from ml.problem import Examples

STEPS = np.linspace(0, 1, QUANTILES)


def profile_of(ids, classes, counts, features=((0, 1), (2, 3), (4, 5)), names=("size", "age")) -> Profile:
    arrays = np.array(features, "float32"), np.array(counts, "int32")
    return make_profile(
        Examples(list(ids), *arrays, tuple(classes)), names, "0123456789abcdef", synthetic=True
    )


def test_a_profile_counts_and_measures_the_examples_and_holds_no_id(monkeypatch):
    monkeypatch.setattr("ml.data.profile.KNOWN_EXAMPLES", 20)
    rng = np.random.default_rng(5)
    features = rng.random((30, 4)).astype("float32")
    features[:, 2] = features[:, 0] + features[:, 1] > 1
    features[:, 3] = 7
    features[1] = features[0]
    counts, ids, names = (
        rng.integers(1, 5, (30, 3)),
        [f"{number:022x}" for number in range(30)],
        tuple("abcd"),
    )
    profile = profile_of(ids, "xyz", counts, features, names)
    assert (profile.examples, profile.rows, len(profile.known)) == (30, counts.sum(), 20)
    assert (profile.data_version, profile.synthetic, profile.features) == ("0123456789abcdef", True, names)
    assert profile.classes == dict(zip("xyz", counts.sum(axis=0).tolist(), strict=True))
    for name, values in zip(names, features.T, strict=True):
        assert profile.quantiles[name] == pytest.approx(
            np.quantile(values.astype("float64"), STEPS), rel=1e-6
        )
    matrix = spearmanr(features[:, :3]).statistic
    # A constant correlates with nothing.
    expected = [
        0.0 if "d" in pair else matrix["abc".index(pair[0]), "abc".index(pair[1])] for pair in pairs(names)
    ]
    assert profile.correlations == pytest.approx(expected, abs=1e-8)
    assert profile.twins == pytest.approx(2 / 30)
    assert [one for one in ids if one in profile.to_bytes().decode()] == []


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_feature_that_is_no_finite_number_makes_no_profile(value):
    with pytest.raises(DataError, match="a feature is null or not a finite number; the data contract should"):
        profile_of("a", "x", [[1]], [[1, value]])


@pytest.mark.parametrize(
    ("before", "after", "psi", "ks"),
    [
        # The sum of (a - b) ln(a / b); an empty bin counts as 0.0001.
        ((500, 500), (800, 200), 0.416, 0.3),
        ((960, 40), (600, 400), 0.998, 0.36),
        ((40, 960), (400, 600), 0.998, 0.36),
        ((500, 500), (0, 1000), 4.604, 0.5),
    ],
)
def test_a_value_that_many_examples_share_has_a_bin_of_its_own(before, after, psi, ks):
    drift = feature_drift(*(np.quantile(np.repeat([0.0, 1.0], counts), STEPS) for counts in (before, after)))
    assert (drift.psi, drift.ks) == (pytest.approx(psi, abs=0.05), pytest.approx(ks, abs=1 / QUANTILES))


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.2, 1.3), (-1.0, 1.0)])
def test_the_indices_are_those_of_the_raw_values_within_the_step_of_the_quantiles(shift, scale):
    rng = np.random.default_rng(3)
    before, after = rng.normal(size=4000), rng.normal(shift, scale, 3000)
    drift = feature_drift(np.quantile(before, STEPS), np.quantile(after, STEPS))
    assert drift.ks == pytest.approx(ks_2samp(before, after).statistic, abs=2 / QUANTILES)
    edges = [-np.inf, *np.quantile(before, np.arange(1, BINS) / BINS), np.inf]
    b, a = (np.histogram(values, edges)[0] / len(values) for values in (before, after))
    assert drift.psi == pytest.approx(((a - b) * np.log(a / b)).sum(), rel=0.1, abs=0.005)


def test_each_number_is_that_of_two_small_tables_counted_by_hand():
    before = profile_of("abc", "ins", [[0, 0, 3], [0, 2, 1], [2, 0, 0]])
    after = profile_of("abd", "dns", [[0, 0, 4], [0, 2, 2], [1, 0, 0]], [[0, 2], [2, 3], [9, 1]])
    drift = measure_drift(before, after)
    assert (drift.before.examples, drift.before.rows) == (3, 8)
    assert (drift.after.examples, drift.after.rows) == (3, 9)
    # Shares before in eighths and after in ninths: d 0 1, i 2 0, n 2 2, s 4 6.
    assert drift.class_shift == pytest.approx((1 / 9 + 2 / 8 + (2 / 8 - 2 / 9) + (6 / 9 - 4 / 8)) / 2)
    assert (drift.lost_classes, drift.new_classes, drift.lost_share) == (("i",), ("d",), 0.25)
    # Of a and b, which return, a has another age. As many of b's rows are of s as of n now: the first counts.
    assert (drift.known_examples, drift.changed_examples, drift.moved_examples) == (2, 1, 0)
    # Ranks were the same, and are 1 2 3 beside 2 3 1 now: from 1 to -0.5.
    assert (drift.correlation_change, drift.correlated) == (pytest.approx(1.5), "size and age")
    assert (drift.twins_before, drift.twins_after, drift.trained_on_synthetic) == (0, 0, True)
    moved = measure_drift(before, profile_of("abd", "ins", [[0, 0, 4], [0, 1, 2], [1, 0, 0]]))
    assert (moved.changed_examples, moved.moved_examples) == (0, 1)
    one = profile_of("a", "xy", [[1, 1]], [[1]], ("size",))
    assert (measure_drift(one, one).correlation_change, measure_drift(one, one).correlated) == (0, "nothing")


OURS = profile_of("abc", "xy", [[1, 2], [3, 0], [0, 1]])


def other(**changes) -> bytes:
    return json.dumps({**OURS.to_json(), **changes}, separators=(",", ":")).encode()


def ages(values) -> bytes:
    return other(quantiles={**OURS.to_json()["quantiles"], "age": values})


@pytest.mark.parametrize(
    ("profile", "reason"),
    [
        (b"", "nobody kept it"),
        (other(schema="jukebox.profile/v1"), "the champion's profile is of an earlier release, and cannot"),
        (b"{", "the champion's profile cannot be read: Expecting property name"),
        (other(schema="jukebox.profile/v9"), "jukebox.profile/v2"),
        (other(examples=9), "not as many examples are known"),
        (other(correlations=[0.0, 0.0]), "not the correlations of 2 features"),
        (other(correlations=[-2.0]), "not the correlations of 2 features"),
        (other(quantiles={}), "the features are not those of the quantiles"),
        (other(features=["age", "size"]), "it is of other features"),
        (ages([]), "age does not have 201 quantiles in order"),
        (ages([*range(201)][::-1]), "age does not have 201 quantiles in order"),
        (other(rows=1), "the classes' rows are not all rows"),
    ],
)
def test_a_profile_that_cannot_be_compared_is_said(profile, reason):
    drift = drift_from("c" * 64, profile, OURS, "nobody kept it")
    assert (drift.measured, reason in drift.not_compared) == (None, True)
    # An earlier release's counts as absent.
    assert drift.profile_digest == digest(b"" if b"profile/v1" in profile else profile)


def test_a_profile_is_compared_with_tables_that_have_one():
    drift = drift_from("c" * 64, OURS.to_bytes(), OURS, "")
    assert (drift.champion, drift.profile_digest) == ("c" * 64, digest(OURS.to_bytes()))
    assert (drift.measured, drift.not_compared) == (measure_drift(OURS, OURS), "")
    drift = drift_from("c" * 64, OURS.to_bytes(), None, "")
    assert drift.measured is None
    assert drift.not_compared == "this run's tables have no profile: they break the contract"

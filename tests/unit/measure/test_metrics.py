"""The metrics agree with scikit-learn on the expanded rows."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss, top_k_accuracy_score

from ml.measure.metrics import calibration_error, flaw_of, most_probable, score_examples


@pytest.mark.parametrize(("classes", "best"), [(12, 5), (6, 5), (5, 4), (2, 1)])
def test_points_equal_scikit_learns_on_every_row_and_the_top_five_are_never_all(classes, best):
    rng = np.random.default_rng(3)
    probabilities = rng.dirichlet(np.ones(classes), size=30).astype("float32")
    counts = rng.poisson(0.7, size=(30, classes)).astype("int32")
    counts[counts.sum(axis=1) == 0, 0] = 1
    example, label = np.nonzero(counts)
    times = counts[example, label]
    truth, rows = np.repeat(label, times), np.repeat(probabilities[example], times, axis=0)
    points = score_examples(probabilities, counts).points()
    labels = np.arange(classes)
    assert points["log_loss"] == pytest.approx(log_loss(truth, rows, labels=labels), rel=1e-5)
    assert points["top1_mass"] == pytest.approx(accuracy_score(truth, rows.argmax(axis=1)))
    # scikit-learn takes the second column alone where there are two classes.
    scores = rows[:, 1] - 0.5 if classes == 2 else rows
    assert points["top5_mass"] == pytest.approx(top_k_accuracy_score(truth, scores, k=best, labels=labels))
    assert (most_probable(classes), most_probable(1)) == (best, 1)


DOWNHILL = np.linspace(0.3, 0.01, 8)


@pytest.mark.parametrize(
    ("probabilities", "counts", "metric", "expected"),
    [
        ([DOWNHILL, DOWNHILL], [[1000, *[0] * 7], [*[0] * 7, 1]], "hit_at_5", 0.5),
        # Ties go to the first class.
        ([[1 / 8] * 8], [range(8)], "top5_mass", (1 + 2 + 3 + 4) / 28),
        # What cannot be costs a lot, but not infinity.
        ([[1.0, 0]], [[0, 1]], "log_loss", -np.log(1e-12)),
    ],
)
def test_examples_count_once_ties_go_to_the_first_class_and_no_loss_is_infinite(
    probabilities, counts, metric, expected
):
    points = score_examples(np.array(probabilities), np.array(counts)).points()
    assert points[metric] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("answers", "told"),
    [([[0.5, 0.5]], "for counts"), ([[np.nan], [1]], "not numbers"), ([[np.inf], [1]], "not numbers")],
)
def test_what_are_no_numbers_of_each_example_is_refused(answers, told):
    with pytest.raises(ValueError, match=told):
        score_examples(np.array(answers), np.ones((2, 1), int))


def test_calibration_is_measured_in_ten_groups_of_about_as_many_rows():
    probabilities = np.column_stack([np.linspace(0.55, 0.95, 100), np.linspace(0.45, 0.05, 100)])
    counts = np.zeros((100, 2), dtype="int32")
    counts[:, 0] = 1
    right = probabilities[:, 0].reshape(10, 10).mean(axis=1)
    assert calibration_error(probabilities, counts) == pytest.approx((1 - right).mean())
    # The sure half is wrong, and has nine in ten of the rows.
    counts[50:] = [0, 9]
    expected = ((1 - probabilities[:50, 0]).sum() + 9 * probabilities[50:, 0].sum()) / 500
    assert calibration_error(probabilities, counts) == pytest.approx(expected)
    assert calibration_error(np.tile([0.8, 0.2], (9, 1)), np.tile([4, 1], (9, 1))) == pytest.approx(0)


@pytest.mark.parametrize(
    ("answers", "flawed"),
    [([1.0, 0.0], False), ([0.5, 0.5005], False), ([0.5, 0.5015], True), ([0, 0], True), ([1.5, -0.5], True)],
)
def test_numbers_that_would_be_scored_too_well_are_no_probabilities(answers, flawed):
    assert bool(flaw_of(np.array([[0.5, 0.5], answers], "float32"))) == flawed

"""The metrics agree with scikit-learn on the expanded rows."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss, top_k_accuracy_score

from ml.measure.metrics import calibration_error, flaw_of, most_probable, score_examples


def made(classes=12):
    """Thirty examples: probabilities [30, K] and rows [30, K]."""
    rng = np.random.default_rng(3)
    probabilities = rng.dirichlet(np.ones(classes), size=30).astype("float32")
    counts = rng.poisson(0.7, size=(30, classes)).astype("int32")
    counts[counts.sum(axis=1) == 0, 0] = 1
    return probabilities, counts


@pytest.fixture
def scored():
    return made()


@pytest.mark.parametrize(("classes", "best"), {12: 5, 6: 5, 5: 4, 3: 2, 2: 1}.items())
def test_points_equal_scikit_learns_on_every_row_and_the_top_five_are_never_all(classes, best):
    probabilities, counts = made(classes)
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
    assert most_probable(classes) == best
    assert most_probable(1) == 1


def test_hit_at_5_counts_examples_not_rows():
    counts = np.zeros((2, 8), dtype="int32")
    counts[0, 0], counts[1, 7] = 1000, 1
    probabilities = np.tile(np.linspace(0.3, 0.01, 8), (2, 1))
    assert score_examples(probabilities, counts).points()["hit_at_5"] == 0.5


def test_ties_go_to_the_first_class():
    points = score_examples(np.full((1, 8), 1 / 8), np.arange(8)[None]).points()
    assert points["top1_mass"] == 0
    assert points["top5_mass"] == pytest.approx((1 + 2 + 3 + 4) / 28)


def test_an_impossible_row_costs_a_lot_but_not_infinity():
    scores = score_examples(np.array([[1.0, 0, 0, 0, 0, 0]]), np.array([[0, 1, 0, 0, 0, 0]]))
    assert scores.points()["log_loss"] == pytest.approx(-np.log(1e-12))


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_are_no_numbers_of_each_example_is_refused(scored, wrong):
    probabilities, counts = scored
    with pytest.raises(ValueError, match="for counts"):
        score_examples(probabilities[1:], counts)
    probabilities[3, 4] = wrong
    with pytest.raises(ValueError, match="not numbers"):
        score_examples(probabilities, counts)


def test_calibration_error_is_the_gap_between_confidence_and_truth():
    probabilities = np.tile([0.8, 0.2], (100, 1))
    counts = np.zeros((100, 2), dtype="int32")
    counts[:50, 0] = 1
    counts[50:, 1] = 1
    # Sorted by confidence the examples tie, so each bin mixes: what remains is |0.8 - share right|.
    assert calibration_error(probabilities, counts, bins=1) == pytest.approx(0.3)
    counts[:] = [4, 1]
    assert calibration_error(probabilities, counts) == pytest.approx(0.0)


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


@pytest.mark.parametrize(
    ("answers", "flawed"),
    [
        ([[0.5, 0.5], [1.0, 0.0]], False),
        ([[0.5, 0.5005]], False),
        ([[0.5, 0.5015]], True),
        ([[1.0, 1.0]], True),
        ([[0.0, 0.0]], True),
        ([[1.5, -0.5]], True),
    ],
)
def test_numbers_that_would_be_scored_too_well_are_no_probabilities(answers, flawed):
    assert bool(flaw_of(np.array(answers, "float32"))) == flawed

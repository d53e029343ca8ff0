"""The metrics agree with scikit-learn on the expanded chart rows."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss, top_k_accuracy_score

from ml.model.metrics import calibration_error, flaw_of, score_songs


@pytest.fixture
def scored():
    """Thirty songs in twelve countries: probabilities [30, 12] and chart rows [30, 12]."""
    rng = np.random.default_rng(3)
    probabilities = rng.dirichlet(np.ones(12), size=30).astype("float32")
    counts = rng.poisson(0.7, size=(30, 12)).astype("int32")
    counts[counts.sum(axis=1) == 0, 0] = 1
    return probabilities, counts


def expanded(probabilities, counts):
    """Return one row for each chart row, as scikit-learn wants it: true country, probabilities."""
    song, country = np.nonzero(counts)
    times = counts[song, country]
    return np.repeat(country, times), np.repeat(probabilities[song], times, axis=0)


def test_points_equal_scikit_learns_on_every_chart_row(scored):
    truth, rows = expanded(*scored)
    points = score_songs(*scored).points()
    labels = np.arange(12)
    assert points["log_loss"] == pytest.approx(log_loss(truth, rows, labels=labels), rel=1e-5)
    assert points["top1_mass"] == pytest.approx(accuracy_score(truth, rows.argmax(axis=1)))
    assert points["top5_mass"] == pytest.approx(top_k_accuracy_score(truth, rows, k=5, labels=labels))


def test_hit_at_5_counts_songs_not_rows():
    probabilities = np.tile(np.linspace(0.3, 0.01, 8), (2, 1))
    counts = np.zeros((2, 8), dtype="int32")
    counts[0, 0] = 1000
    counts[1, 7] = 1
    assert score_songs(probabilities, counts).points()["hit_at_5"] == 0.5


def test_an_impossible_row_costs_a_lot_but_not_infinity():
    scores = score_songs(np.array([[1.0, 0, 0, 0, 0, 0]]), np.array([[0, 1, 0, 0, 0, 0]]))
    assert scores.points()["log_loss"] == pytest.approx(-np.log(1e-12))


def test_probabilities_that_are_not_numbers_are_refused(scored):
    probabilities, counts = scored
    probabilities[3, 4] = np.nan
    with pytest.raises(ValueError, match="not numbers"):
        score_songs(probabilities, counts)


def test_other_shapes_are_refused(scored):
    probabilities, counts = scored
    with pytest.raises(ValueError, match="for counts"):
        score_songs(probabilities[1:], counts)


def test_calibration_error_is_the_gap_between_confidence_and_truth():
    probabilities = np.tile([0.8, 0.2], (100, 1))
    counts = np.zeros((100, 2), dtype="int32")
    counts[:50, 0] = 1
    counts[50:, 1] = 1
    # Sorted by confidence the songs tie, so each bin mixes: what remains is |0.8 - share right|.
    assert calibration_error(probabilities, counts, bins=1) == pytest.approx(0.3)
    counts[:] = [4, 1]
    assert calibration_error(probabilities, counts) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("answers", "flawed"),
    [
        ([[0.5, 0.5], [1.0, 0.0]], False),
        ([[0.5, 0.5005]], False),
        ([[1.0, 1.0]], True),
        ([[0.0, 0.0]], True),
        ([[1.5, -0.5]], True),
    ],
)
def test_numbers_that_would_be_scored_too_well_are_no_probabilities(answers, flawed):
    assert bool(flaw_of(np.array(answers, "float32"))) == flawed

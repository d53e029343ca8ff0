"""The baselines are what they claim to be, and the report holds them beside the model."""

from dataclasses import replace

import numpy as np
import pytest

from ml.core.canonical import digest
from ml.gate.nouns import Nouns
from ml.measure.evaluation import class_prior, confusion_matrix, logistic, score_evaluation
from ml.measure.metrics import score_examples
from ml.problem import Examples

DIGESTS = {"model_digest": digest(b"model"), "test_digest": digest(b"test")}
NOUNS = Nouns(class_="digit")


def examples(count: int, seed: int, classes: int = 3) -> Examples:
    """Examples whose class follows the sign of the first feature, mostly."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, 4)).astype("float32")
    counts = np.ones((count, classes), dtype="int32")
    counts[np.arange(count), (features[:, 0] > 0).astype(int)] += 20
    sides = np.where(features[:, 1] > 0, "left", "right").astype(object)
    return Examples(
        [str(index) for index in range(count)], features, counts, tuple("ABCD"[:classes]), {"side": sides}
    )


def test_the_prior_is_the_smoothed_share_of_training_rows():
    training = Examples(["a"], np.zeros((1, 4), "float32"), np.array([[7, 0, 0]]), ("A", "B", "C"))
    assert class_prior(training) == pytest.approx([0.8, 0.1, 0.1])


@pytest.mark.parametrize("classes", [2, 3])
def test_the_logistic_regression_learns_what_is_linear(classes):
    training, test = examples(400, 1, classes), examples(200, 2, classes)
    prior = class_prior(training)
    learned = score_examples(logistic(training, test.features, prior), test.counts).points()
    guessed = score_examples(np.tile(prior, (200, 1)), test.counts).points()
    assert learned["log_loss"] < guessed["log_loss"] - 0.1


def test_the_logistic_regression_gives_a_class_without_examples_the_priors_share():
    training, test = examples(100, 1), examples(10, 2)
    training = replace(training, counts=np.column_stack([training.counts, np.zeros(100, dtype="int32")]))
    prior = class_prior(training)
    answers = logistic(training, test.features, prior)
    assert answers[:, 3] == pytest.approx(prior[3])
    assert answers.sum(axis=1) == pytest.approx(1)


def test_confusion_and_f1_count_every_row_once():
    probabilities, counts = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[3, 1], [0, 5]])
    assert confusion_matrix(probabilities, counts).tolist() == [[3, 0], [1, 5]]
    test = Examples(["a", "b"], np.zeros((2, 4), "float32"), counts, ("A", "B"))
    report = score_evaluation(probabilities, np.full(2, 0.5), probabilities, test, NOUNS, None, DIGESTS)
    # Precision 3/4 and recall 1 of A, 1 and 5/6 of B.
    assert report.model.macro_f1 == pytest.approx((6 / 7 + 10 / 11) / 2)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_report_is_computed_again_by_other_code(classes):
    training, test = examples(400, 1, classes), examples(200, 2, classes)
    prior = class_prior(training)
    model = 0.5 * test.counts / test.counts.sum(axis=1, keepdims=True) + 0.5 * prior
    fitted = logistic(training, test.features, prior)
    report = score_evaluation(model, prior, fitted, test, NOUNS, None, DIGESTS)
    rows = test.counts.sum()
    assert (report.examples, report.rows, report.labels) == (200, rows, classes)
    assert (report.model_digest, report.test_digest) == tuple(DIGESTS.values())
    for metrics, answers in (
        (report.model, model),
        (report.prior, np.tile(prior, (200, 1))),
        (report.logistic, fitted),
        (report.uniform, np.full_like(model, 1 / classes)),
    ):
        assert metrics.log_loss.value == pytest.approx(-(test.counts * np.log(answers)).sum() / rows)
        best = np.sort(np.argsort(-answers, axis=1, kind="stable")[:, : classes - 1], axis=1)
        mass = np.take_along_axis(test.counts, best, axis=1).sum() / rows
        assert metrics.top5_mass.value == pytest.approx(mass)
    for gain, baseline in (
        (report.gain_over_prior, report.prior),
        (report.gain_over_logistic, report.logistic),
    ):
        assert gain.value == pytest.approx(baseline.log_loss.value - report.model.log_loss.value)
    assert sum(score.log_loss * score.rows for score in report.classes.values()) / rows == pytest.approx(
        report.model.log_loss.value
    )
    assert report.classes["A"].prior_log_loss == pytest.approx(-np.log(prior[0]))
    assert report.classes["A"].examples == 200
    names = {part.name for part in report.slices.slices}
    assert names == {*(f"digit={name}" for name in test.classes), "side=left", "side=right"}
    assert report.champion is None


def test_a_class_without_test_rows_is_left_out():
    test = examples(100, 1)
    test.counts[:, 2] = 0
    prior = np.full(3, 1 / 3)
    flat = np.tile(prior, (100, 1))
    report = score_evaluation(flat, prior, flat, test, NOUNS, None, DIGESTS)
    assert [*report.classes] == ["A", "B"]


def test_a_model_that_gives_one_to_every_class_is_refused():
    test = examples(100, 1)
    prior = class_prior(test)
    fine = np.tile(prior, (100, 1))
    assert score_evaluation(fine, prior, fine, test, NOUNS, None, DIGESTS).gain_over_prior.value == 0
    with pytest.raises(ValueError, match="do not sum to one"):
        score_evaluation(np.ones_like(fine), prior, fine, test, NOUNS, None, DIGESTS)

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


def examples(count: int, seed: int, classes: int = 3) -> Examples:
    """Examples whose class follows the sign of the first feature, mostly."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, 4)).astype("float32")
    counts = np.ones((count, classes), dtype="int32")
    counts[np.arange(count), (features[:, 0] > 0).astype(int)] += 20
    sides = np.where(features[:, 1] > 0, "left", "right").astype(object)
    return Examples([*map(str, range(count))], features, counts, tuple("ABCD"[:classes]), {"side": sides})


def report_on(test: Examples, model, prior, fitted):
    return score_evaluation(model, prior, fitted, test, Nouns(class_="digit"), None, DIGESTS)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_logistic_regression_learns_and_gives_a_class_without_examples_the_priors_share(classes):
    training, test = examples(400, 1, classes), examples(200, 2, classes)
    prior = class_prior(training)
    rows = training.counts.sum(axis=0) + 1
    assert prior == pytest.approx(rows / rows.sum())
    learned = score_examples(logistic(training, test.features, prior), test.counts).points()
    guessed = score_examples(np.tile(prior, (200, 1)), test.counts).points()
    assert learned["log_loss"] < guessed["log_loss"] - 0.1
    # Rows weigh beside each other only: twice as many of all say the same.
    twice = replace(training, counts=2 * training.counts)
    answers = [logistic(rows, test.features, prior) for rows in (training, twice)]
    assert answers[0] == pytest.approx(answers[1], abs=1e-9)
    training = replace(training, counts=np.column_stack([training.counts, np.zeros(400, dtype="int32")]))
    prior = class_prior(training)
    answers = logistic(training, test.features, prior)
    assert answers[:, classes] == pytest.approx(prior[classes])
    assert answers.sum(axis=1) == pytest.approx(1)


def test_confusion_and_f1_count_every_row_once():
    probabilities, counts = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[3, 1], [0, 5]])
    assert confusion_matrix(probabilities, counts).tolist() == [[3, 0], [1, 5]]
    test = Examples(["a", "b"], np.zeros((2, 4), "float32"), counts, ("A", "B"))
    report = report_on(test, probabilities, np.full(2, 0.5), probabilities)
    # Precision 3/4 and recall 1 of A, 1 and 5/6 of B.
    assert report.model.macro_f1 == pytest.approx((6 / 7 + 10 / 11) / 2)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_report_is_computed_again_by_other_code(classes):
    training, test = examples(400, 1, classes), examples(200, 2, classes)
    prior = class_prior(training)
    model = 0.5 * test.counts / test.counts.sum(axis=1, keepdims=True) + 0.5 * prior
    fitted = logistic(training, test.features, prior)
    report, rows = report_on(test, model, prior, fitted), test.counts.sum()
    assert (report.examples, report.rows, report.labels) == (200, rows, classes)
    assert (report.model_digest, report.test_digest) == tuple(DIGESTS.values())
    for metrics, answers in (
        (report.model, model),
        (report.prior, np.tile(prior, (200, 1))),
        (report.logistic, fitted),
        (report.uniform, np.full_like(model, 1 / classes)),
    ):
        assert metrics.log_loss.value == pytest.approx(-(test.counts * np.log(answers)).sum() / rows)
        best = np.argsort(-answers, axis=1, kind="stable")[:, : classes - 1]
        mass = np.take_along_axis(test.counts, best, axis=1).sum() / rows
        assert metrics.top5_mass.value == pytest.approx(mass)
    for gain, baseline in (
        (report.gain_over_prior, report.prior),
        (report.gain_over_logistic, report.logistic),
    ):
        assert gain.value == pytest.approx(baseline.log_loss.value - report.model.log_loss.value)
    total = sum(score.log_loss * score.rows for score in report.classes.values())
    assert total / rows == pytest.approx(report.model.log_loss.value)
    assert report.classes["A"].prior_log_loss == pytest.approx(-np.log(prior[0]))
    assert report.classes["A"].examples == 200
    names = {part.name for part in report.slices.slices}
    assert names == {*(f"digit={name}" for name in test.classes), "side=left", "side=right"}
    assert report.champion is None


def test_a_class_without_test_rows_is_left_out_and_ones_for_every_class_are_refused():
    test, prior = examples(100, 1), np.full(3, 1 / 3)
    test.counts[:, 2] = 0
    flat = np.tile(prior, (100, 1))
    assert [*report_on(test, flat, prior, flat).classes] == ["A", "B"]
    with pytest.raises(ValueError, match="do not sum to one"):
        report_on(test, np.ones_like(flat), prior, flat)

"""The baselines are what they claim to be, and the report holds them beside the model."""

from dataclasses import replace

import numpy as np
import pytest

from ml.core.canonical import digest
from ml.core.files import read_json
from ml.data.splits import Examples, read_examples, read_labels
from ml.gate.subjects.evaluation import Evaluation
from ml.measure.evaluation import confusion_matrix, country_prior, logistic, score_evaluation
from ml.measure.metrics import score_songs


def examples(songs: int, seed: int) -> Examples:
    """Songs whose country follows the sign of the first feature, mostly."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(songs, 13)).astype("float32")
    counts = np.ones((songs, 3), dtype="int32")
    counts[np.arange(songs), (features[:, 0] > 0).astype(int)] += 20
    return Examples([str(index) for index in range(songs)], features, counts, np.zeros(songs, "int16"))


def test_prior_is_the_smoothed_share_of_training_rows():
    training = Examples(
        ["a"], np.zeros((1, 13), dtype="float32"), np.array([[7, 0, 0]]), np.zeros(1, "int16")
    )
    assert country_prior(training) == pytest.approx([0.8, 0.1, 0.1])


def test_logistic_learns_what_is_linear():
    training, test = examples(400, 1), examples(200, 2)
    prior = country_prior(training)
    learned = score_songs(logistic(training, test.features, prior), test.counts).points()
    guessed = score_songs(np.tile(prior, (200, 1)), test.counts).points()
    assert learned["log_loss"] < guessed["log_loss"] - 0.1


def test_logistic_gives_a_country_without_songs_the_priors_share():
    training, test = examples(100, 1), examples(10, 2)
    counts = np.column_stack([training.counts, np.zeros(100, dtype="int32")])
    training = replace(training, counts=counts)
    prior = country_prior(training)
    answers = logistic(training, test.features, prior)
    assert answers[:, 3] == pytest.approx(prior[3])
    assert answers.sum(axis=1) == pytest.approx(1)


def test_confusion_counts_every_chart_row_once():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
    counts = np.array([[3, 1], [0, 5]])
    assert confusion_matrix(probabilities, counts).tolist() == [[3, 0], [1, 5]]


def test_report_of_a_run_recomputes(finished_run):
    """Model and prior of a real run's report, computed again from its files by other code."""
    report = Evaluation.load(read_json(finished_run.artifact("evaluate", "evaluation.json")))
    test = read_examples(finished_run.artifact("preprocess", "test_split.parquet"))
    train = read_examples(finished_run.artifact("preprocess", "train_split.parquet"))
    labels = read_labels(finished_run.artifact("preprocess", "labels.json"))
    assert report.songs == len(test.ids)
    assert report.rows == test.counts.sum()
    prior = (train.counts.sum(axis=0) + 1) / (train.counts.sum() + len(labels))
    loss = -(test.counts * np.log(prior)).sum() / test.counts.sum()
    assert report.prior.log_loss.value == pytest.approx(loss)
    assert report.uniform.log_loss.value == pytest.approx(np.log(len(labels)))
    gain = report.prior.log_loss.value - report.model.log_loss.value
    assert report.gain_over_prior.value == pytest.approx(gain)
    by_country = sum(score.log_loss * score.rows for score in report.countries.values()) / report.rows
    assert by_country == pytest.approx(report.model.log_loss.value)
    slices = {part.name: part for part in report.slices.slices}
    assert slices["explicit=yes"].songs + slices["explicit=no"].songs == report.songs
    assert {name for name in slices if name.startswith("country=")} == {
        f"country={name}" for name in report.countries
    }


def test_a_model_that_gives_one_to_every_country_is_refused():
    test = examples(100, 1)
    prior = country_prior(test)
    fine = np.tile(prior, (100, 1))
    digests = {"model.keras": digest(b"keras"), "test.parquet": digest(b"test")}
    labels = ["AA", "BB", "CC"]
    assert score_evaluation(fine, prior, fine, test, labels, None, digests).gain_over_prior.value == 0
    with pytest.raises(ValueError, match="do not sum to one"):
        score_evaluation(np.ones_like(fine), prior, fine, test, labels, None, digests)

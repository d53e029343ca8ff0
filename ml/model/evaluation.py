"""Evaluate the Keras model on songs that it has never seen, beside three baselines and the champion.

The baselines are: every country equally likely; the countries' shares of the training charts; and
scikit-learn's logistic regression on the same features, so that the network has to earn its place.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ml.core.files import file_digest, write_json
from ml.data.splits import Examples, read_examples, read_labels
from ml.gate.subjects.champion import Comparison
from ml.gate.subjects.evaluation import CountryScore, Evaluation, Metrics
from ml.model.champion import compare_with_champion, headline
from ml.model.metrics import SMALLEST, calibration_error, flaw_of, score_songs
from ml.model.resampling import BOOTSTRAP, percentile_intervals
from ml.model.slices import measure_slices, worst_slices
from ml.model.training import predict

LOGISTIC_SONGS = 5000
"""The logistic regression is fitted on so many songs at most: a baseline has to stay cheap."""


def evaluate(
    model: str | Path,
    train_split: str | Path,
    test_split: str | Path,
    labels: str | Path,
    champion_model: str | Path,
    champion: str,
    report: str | Path,
    confusion: str | Path,
) -> str:
    """Evaluate the model on the test split, write the `Evaluation`, and say what it is worth.

    Args:
        model: the ``.keras`` file.
        train_split: parquet file of `ml.data.splits`, for the baselines.
        test_split: parquet file of `ml.data.splits`.
        labels: ``labels.json``.
        champion_model: the champion's ONNX file, empty without a champion.
        champion: the candidate in production, or "".
        report: the JSON file to write.
        confusion: the JSON file to write: chart rows by true country (rows) and by the most probable
            country of their song (columns).

    Raises:
        ValueError: the model gives something else than probabilities for the labels, or there is a
            champion's model without a champion.
    """
    training, test = read_examples(train_split), read_examples(test_split)
    countries = read_labels(labels)
    prior = country_prior(training)
    probabilities = predict(model, test.features)
    found = score_evaluation(
        probabilities,
        prior,
        logistic(training, test.features, prior),
        test,
        countries,
        compare_with_champion(champion, champion_model, test, countries, probabilities),
        {"model.keras": file_digest(model), "test.parquet": file_digest(test_split)},
    )
    write_json(report, found)
    write_json(
        confusion,
        {
            "schema": "jukebox.confusion/v1",
            "countries": countries,
            "matrix": confusion_matrix(probabilities, test.counts).tolist(),
        },
    )
    return (
        f"log loss {found.model.log_loss.value:.3f} (prior {found.prior.log_loss.value:.3f}, logistic "
        f"{found.logistic.log_loss.value:.3f}), top-5 mass {found.model.top5_mass.value:.3f}, "
        f"{found.songs:,} songs; least gain over the prior: "
        f"{', '.join(part.text for part in worst_slices(found.slices))}; {headline(found.champion)}"
    )


def score_evaluation(
    probabilities: np.ndarray,
    prior: np.ndarray,
    logistic: np.ndarray,
    test: Examples,
    countries: list[str],
    champion: Comparison | None,
    digests: Mapping[str, str],
) -> Evaluation:
    """Score probabilities that are there already, beside the baselines'.

    Args:
        probabilities: the model's, [N, K].
        prior: the countries' shares of the training charts, [K].
        logistic: the logistic regression's, [N, K].
        test: the test songs.
        countries: the K labels.
        champion: the comparison with the champion; None without one.
        digests: of ``model.keras`` and ``test.parquet``.

    Raises:
        ValueError: the model's are not probabilities, one for each label.
    """
    found = {
        "model": probabilities,
        "uniform": np.full(test.counts.shape, 1 / len(countries)),
        "prior": np.tile(prior, (len(test.ids), 1)),
        "logistic": logistic,
    }
    scores = {name: score_songs(values, test.counts) for name, values in found.items()}
    if flaw := flaw_of(probabilities):
        raise ValueError(f"the model's answers {flaw}, so they are no probabilities")
    ratios = {
        f"{name}.{metric}": ratio for name, score in scores.items() for metric, ratio in score.ratios.items()
    }
    rows = scores["model"].rows
    for name in ("prior", "logistic"):
        ratios[f"gain_over_{name}"] = (scores[name].loss - scores["model"].loss, rows)
    intervals = percentile_intervals(ratios, BOOTSTRAP)
    metrics = {
        name: Metrics.load(
            {
                **{metric: intervals[f"{name}.{metric}"].to_json() for metric in scores[name].ratios},
                "macro_f1": _macro_f1(values, test.counts),
                "calibration_error": calibration_error(values, test.counts),
            }
        )
        for name, values in found.items()
    }
    return Evaluation(
        keras_digest=digests["model.keras"],
        test_digest=digests["test.parquet"],
        songs=len(test.ids),
        rows=int(rows.sum()),
        labels=len(countries),
        model=metrics["model"],
        uniform=metrics["uniform"],
        prior=metrics["prior"],
        logistic=metrics["logistic"],
        gain_over_prior=intervals["gain_over_prior"],
        gain_over_logistic=intervals["gain_over_logistic"],
        countries=_by_country(probabilities, prior, test.counts, countries),
        slices=measure_slices(probabilities, prior, test, countries),
        bootstrap=BOOTSTRAP,
        champion=champion,
    )


def country_prior(training: Examples) -> np.ndarray:
    """Return the countries' shares of the training charts, [K], with one row added to each (Laplace)."""
    rows = training.counts.sum(axis=0) + 1.0
    return np.asarray(rows / rows.sum())


def logistic(training: Examples, features: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Return the probabilities [N, K] of a multinomial logistic regression on standardised features.

    It sees each song once for each of its countries, weighted by chart rows: the network's objective.
    Countries that the chosen songs do not chart in get the prior's probability.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    # The splits are ordered by song id, which says nothing about the song: the first are as good as any.
    inputs = training.features[:LOGISTIC_SONGS]
    counts = training.counts[:LOGISTIC_SONGS]
    song, country = np.nonzero(counts)
    weights = counts[song, country] / counts.sum(axis=1).mean()
    scaler = StandardScaler().fit(inputs)
    model = LogisticRegression(tol=1e-3).fit(scaler.transform(inputs)[song], country, sample_weight=weights)
    probabilities = np.tile(prior, (len(features), 1))
    known = prior[model.classes_].sum()
    probabilities[:, model.classes_] = known * model.predict_proba(scaler.transform(features))
    return probabilities


def confusion_matrix(probabilities: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Count chart rows by true country and most probable country, int64 [K, K]."""
    matrix = np.zeros((counts.shape[1], counts.shape[1]), dtype="int64")
    np.add.at(matrix.T, probabilities.argmax(axis=1), counts)
    return matrix


def _macro_f1(probabilities: np.ndarray, counts: np.ndarray) -> float:
    """Return scikit-learn's macro F1 over chart rows: each (song, country) pair weighs its rows."""
    from sklearn.metrics import f1_score

    song, country = np.nonzero(counts)
    predicted = probabilities.argmax(axis=1)[song]
    return float(
        f1_score(
            country,
            predicted,
            labels=np.arange(counts.shape[1]),
            average="macro",
            sample_weight=counts[song, country],
            zero_division=0.0,
        )
    )


def _by_country(
    probabilities: np.ndarray, prior: np.ndarray, counts: np.ndarray, countries: list[str]
) -> dict[str, CountryScore]:
    """Return the log loss of each country's chart rows; countries without test rows are left out."""
    rows = counts.sum(axis=0)
    loss = -(counts * np.log(np.maximum(probabilities.astype("float64"), SMALLEST))).sum(axis=0)
    return {
        name: CountryScore(
            log_loss=float(loss[index] / rows[index]),
            prior_log_loss=float(-np.log(prior[index])),
            rows=int(rows[index]),
            songs=int(np.count_nonzero(counts[:, index])),
        )
        for index, name in enumerate(countries)
        if rows[index]
    }

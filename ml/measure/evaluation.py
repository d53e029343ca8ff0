"""Score a model's probabilities on examples that it has never seen, beside three baselines and the champion.

The baselines are: every class equally likely; the classes' shares of the training rows; and scikit-learn's
logistic regression on the same features, so that the model has to earn its place.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from ml.gate.nouns import Nouns
from ml.gate.subjects.champion import Comparison
from ml.gate.subjects.evaluation import ClassScore, Evaluation, Metrics
from ml.measure.metrics import SMALLEST, calibration_error, flaw_of, score_examples
from ml.measure.resampling import BOOTSTRAP, percentile_intervals
from ml.measure.slices import measure_slices
from ml.problem import Examples

LOGISTIC_EXAMPLES = 5000
"""The logistic regression is fitted on so many examples at most: a baseline has to stay cheap."""


def score_evaluation(
    probabilities: np.ndarray,
    prior: np.ndarray,
    logistic: np.ndarray,
    test: Examples,
    nouns: Nouns,
    champion: Comparison | None,
    digests: Mapping[str, str],
) -> Evaluation:
    """Score probabilities that are there already, beside the baselines'.

    Args:
        probabilities: the model's, [N, K].
        prior: the classes' shares of the training rows, [K].
        logistic: the logistic regression's, [N, K].
        test: the test examples.
        nouns: the problem's.
        champion: the comparison with the champion; None without one.
        digests: the report's ``model_digest`` and ``test_digest``.

    Raises:
        ValueError: the model's are not probabilities, one for each label.
    """
    report = {
        "model": probabilities,
        "uniform": np.full(test.counts.shape, 1 / len(test.classes)),
        "prior": np.tile(prior, (len(test.ids), 1)),
        "logistic": logistic,
    }
    scores = {name: score_examples(values, test.counts) for name, values in report.items()}
    if flaw := flaw_of(probabilities):
        raise ValueError(f"the model's answers {flaw}, so they are not probabilities")
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
        for name, values in report.items()
    }
    return Evaluation(
        model_digest=digests["model_digest"],
        test_digest=digests["test_digest"],
        examples=len(test.ids),
        rows=int(rows.sum()),
        labels=len(test.classes),
        model=metrics["model"],
        uniform=metrics["uniform"],
        prior=metrics["prior"],
        logistic=metrics["logistic"],
        gain_over_prior=intervals["gain_over_prior"],
        gain_over_logistic=intervals["gain_over_logistic"],
        classes=_by_class(probabilities, prior, test.counts, test.classes),
        slices=measure_slices(probabilities, prior, test, nouns),
        bootstrap=BOOTSTRAP,
        champion=champion,
    )


def class_prior(training: Examples) -> np.ndarray:
    """Return the classes' shares of the training rows, [K], with one row added to each (Laplace)."""
    rows = training.counts.sum(axis=0) + 1.0
    return np.asarray(rows / rows.sum())


def logistic(training: Examples, features: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Return the probabilities [N, K] of a multinomial logistic regression on standardised features.

    It sees each example once for each of its classes, weighted by rows. Classes of which the chosen examples
    have no row get the prior's probability.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    # The splits are ordered by id, which says nothing about an example: the first are as good as any.
    inputs = training.features[:LOGISTIC_EXAMPLES]
    counts = training.counts[:LOGISTIC_EXAMPLES]
    example, label = np.nonzero(counts)
    weights = counts[example, label] / counts.sum(axis=1).mean()
    scaler = StandardScaler().fit(inputs)
    model = LogisticRegression(tol=1e-3).fit(scaler.transform(inputs)[example], label, sample_weight=weights)
    probabilities = np.tile(prior, (len(features), 1))
    known = prior[model.classes_].sum()
    probabilities[:, model.classes_] = known * model.predict_proba(scaler.transform(features))
    return probabilities


def confusion_matrix(probabilities: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Count rows by true class (rows) and most probable class of their example (columns), int64 [K, K]."""
    matrix = np.zeros((counts.shape[1], counts.shape[1]), dtype="int64")
    np.add.at(matrix.T, probabilities.argmax(axis=1), counts)
    return matrix


def _macro_f1(probabilities: np.ndarray, counts: np.ndarray) -> float:
    """Return scikit-learn's macro F1 over rows: each pair of example and class weighs its rows."""
    from sklearn.metrics import f1_score

    example, label = np.nonzero(counts)
    predicted = probabilities.argmax(axis=1)[example]
    return float(
        f1_score(
            label,
            predicted,
            labels=np.arange(counts.shape[1]),
            average="macro",
            sample_weight=counts[example, label],
            zero_division=0.0,
        )
    )


def _by_class(
    probabilities: np.ndarray, prior: np.ndarray, counts: np.ndarray, classes: Sequence[str]
) -> dict[str, ClassScore]:
    """Return the log loss of each class's rows; classes without test rows are left out."""
    rows = counts.sum(axis=0)
    loss = -(counts * np.log(np.maximum(probabilities.astype("float64"), SMALLEST))).sum(axis=0)
    return {
        name: ClassScore(
            log_loss=float(loss[index] / rows[index]),
            prior_log_loss=float(-np.log(prior[index])),
            rows=int(rows[index]),
            examples=int(np.count_nonzero(counts[:, index])),
        )
        for index, name in enumerate(classes)
        if rows[index]
    }

"""The step `evaluate`: ask the trained model and the champion about the test examples, and score both."""

from pathlib import Path

import numpy as np

from ml.core.files import file_digest, write_json
from ml.data.splits import read_examples, read_labels
from ml.gate.subjects.champion import Comparison
from ml.gate.subjects.evaluation import Evaluation
from ml.measure.champion import Champion, Incomparable, compare_answers, headline
from ml.measure.evaluation import class_prior, confusion_matrix, logistic, score_evaluation
from ml.measure.slices import worst_slices
from ml.onnx.production import ask_champion
from ml.problem import Examples, Solution


def evaluate(
    solution: Solution,
    model: str | Path,
    train_split: str | Path,
    test_split: str | Path,
    labels: str | Path,
    champion_model: str | Path,
    champion: str,
    report: str | Path,
    confusion: str | Path,
) -> str:
    """Evaluate the model on the test split, write the `Evaluation`, and say how good it is.

    Args:
        solution: the problem's.
        model: the file that `Solution.train` wrote.
        train_split: parquet file of `ml.data.splits`, for the baselines.
        test_split: parquet file of `ml.data.splits`.
        labels: ``labels.json``.
        champion_model: the champion's ONNX file, empty without a champion.
        champion: the candidate in production, or "".
        report: the JSON file to write.
        confusion: the JSON file to write: rows by true class and by the most probable class of their example.

    Raises:
        ValueError: the model gives something else than probabilities for the classes, or there is a
            champion's model without a champion.
    """
    training, test, named = read_examples(train_split), read_examples(test_split), read_labels(labels)
    prior = class_prior(training)
    probabilities = solution.predict(Path(model), test.features)
    evaluation = score_evaluation(
        probabilities,
        prior,
        logistic(training, test.features, prior),
        test,
        named.nouns,
        compare_with_champion(champion, champion_model, named.features, test, probabilities),
        {"model_digest": file_digest(model), "test_digest": file_digest(test_split)},
    )
    write_json(report, evaluation)
    write_json(
        confusion,
        {
            "schema": "jukebox.confusion/v2",
            "classes": list(test.classes),
            "matrix": confusion_matrix(probabilities, test.counts).tolist(),
        },
    )
    return f"{_in_brief(evaluation, named.nouns.examples)}; least gain over the prior: " + (
        f"{', '.join(part.text(named.nouns) for part in worst_slices(evaluation.slices))}; "
        f"{headline(evaluation.champion, named.nouns)}"
    )


def _in_brief(evaluation: Evaluation, examples: str) -> str:
    model, prior, logistic = (
        metrics.log_loss.value for metrics in (evaluation.model, evaluation.prior, evaluation.logistic)
    )
    return (
        f"log loss {model:.3f} (prior {prior:.3f}, logistic {logistic:.3f}), top-5 mass "
        f"{evaluation.model.top5_mass.value:.3f}, {evaluation.examples:,} {examples}"
    )


def compare_with_champion(
    champion: str,
    onnx_model: str | Path,
    features: tuple[str, ...],
    test: Examples,
    probabilities: np.ndarray,
) -> Comparison | None:
    """Compare the challenger's probabilities with the champion's on the test examples.

    Args:
        champion: the champion's candidate id; "" when there is none.
        onnx_model: its ONNX file; an empty file when there is none.
        features: the names of the examples' features.
        test: the test examples.
        probabilities: the challenger's, [N, K].

    Returns:
        The comparison, which may say that there cannot be one; None without a champion.

    Raises:
        ValueError: there is a model, and no champion that it belongs to.
    """
    if not champion:
        if Path(onnx_model).stat().st_size:
            raise ValueError("a champion's model, and no champion that it belongs to")
        return None
    answers: Champion | str
    try:
        answers = ask_champion(onnx_model, features, test.features)
    except Incomparable as error:
        answers = str(error)
    return compare_answers(
        champion, file_digest(onnx_model), answers, test.counts, test.classes, probabilities
    )

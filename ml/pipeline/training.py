"""The step `train`: train the problem's solution, and write down how it went."""

from pathlib import Path
from typing import Any

from ml.core.files import write_json
from ml.data.splits import read_examples
from ml.pipeline.hyperparameters import read_hyperparameters
from ml.problem import Solution


def train(
    solution: Solution,
    train_split: str | Path,
    val_split: str | Path,
    model: str | Path,
    history: str | Path,
    hyperparameters: dict[str, Any],
) -> str:
    """Train on the training split, with the validation split to stop by, and say how it went.

    Args:
        solution: the problem's.
        train_split: parquet file of `ml.data.splits`.
        val_split: parquet file of `ml.data.splits`.
        model: the file to write.
        history: the JSON file to write: losses by epoch (nats per row), hyperparameters.
        hyperparameters: by name; what is left out has its default.

    Raises:
        UsageError: a hyperparameter is unknown or out of range.
        ValueError: the training failed; no model is written.
    """
    hyper = read_hyperparameters(solution, hyperparameters)
    training = read_examples(train_split)
    trained = solution.train(training, read_examples(val_split), hyper, Path(model))
    write_json(
        history,
        {
            "schema": "jukebox.history/v2",
            "losses": {name: [float(value) for value in values] for name, values in trained.losses.items()},
            "hyperparameters": hyper.model_dump(),
            "examples": len(training.ids),
        },
    )
    return trained.headline

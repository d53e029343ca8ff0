"""Train the network on soft labels: one row a song, weighted by its chart rows."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ml.core.files import write_json
from ml.core.settings import Hyperparameters
from ml.data.splits import Examples, read_examples
from ml.model.backend import load_keras
from ml.model.keras_file import save_network
from ml.model.metrics import SMALLEST
from ml.model.network import build_network, guard

if TYPE_CHECKING:
    import keras

BATCH = 4096
"""Songs that go through the network at once when it only answers."""


def train(
    train_split: str | Path,
    val_split: str | Path,
    model: str | Path,
    history: str | Path,
    hyper: Hyperparameters,
) -> str:
    """Train with early stopping on the validation split, and say how it went.

    The loss is ``-sum_k p_k log q_k`` over the song's country distribution p, weighted by chart rows: the
    cross entropy over the rows themselves, up to a constant factor. The same data, seed and lock give the
    same weights on one kind of machine.

    Args:
        train_split: parquet file of `ml.data.splits`.
        val_split: parquet file of `ml.data.splits`.
        model: the ``.keras`` file to write.
        history: the JSON file to write: losses by epoch (nats per chart row), hyperparameters.
        hyper: the hyperparameters.

    Raises:
        ValueError: the loss is not a number; no model is written.
    """
    keras = load_keras()
    import tensorflow as tf

    keras.utils.set_random_seed(hyper.seed)
    tf.config.experimental.enable_op_determinism()
    training, validation = read_examples(train_split), read_examples(val_split)
    network = build_network(training.features, training.counts.shape[1], hyper)
    network.compile(
        optimizer=keras.optimizers.Adam(hyper.learning_rate),
        loss="categorical_crossentropy",
        # A pass is a hundred tiny steps: one call of the graph for all of them, not one for each.
        steps_per_execution=-(-len(training.ids) // hyper.batch_size),
        # Compiling XLA kernels would take longer than the training that they speed up.
        jit_compile=False,
    )
    inputs, labels, weights = _arrays(training)
    unseen, truth, importance = _arrays(validation)

    def validate(_: int, logs: dict[str, float]) -> None:
        # Keras's own validation rebuilds its data pipeline after every pass: half of the whole time.
        fit = np.log(np.maximum(answer(network, unseen), SMALLEST))
        logs["val_loss"] = float(-(importance * (truth * fit).sum(axis=1)).mean())

    fitted = network.fit(
        inputs,
        labels,
        sample_weight=weights,
        epochs=hyper.epochs,
        batch_size=hyper.batch_size,
        callbacks=[
            keras.callbacks.LambdaCallback(on_epoch_end=validate),
            keras.callbacks.EarlyStopping(patience=hyper.patience, restore_best_weights=True),
        ],
        verbose=0,
    )
    losses = {name: [float(value) for value in values] for name, values in fitted.history.items()}
    if not all(np.isfinite(values).all() for values in losses.values()):
        raise ValueError("the training diverged: the loss is not a number; lower learning_rate")
    save_network(guard(network), model)
    write_json(
        history,
        {
            "schema": "jukebox.history/v1",
            "losses": losses,
            "hyperparameters": hyper.model_dump(),
            "songs": len(training.ids),
        },
    )
    epochs = losses["val_loss"]
    best = int(np.argmin(epochs))
    return f"validation loss {epochs[best]:.4f} nats after {best + 1} of {len(epochs)} epochs"


def _arrays(examples: Examples) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features [N, 13], country distributions [N, K] and weights [N] with mean one, float32."""
    weights = examples.weights
    labels = examples.counts / weights[:, None]
    return examples.features, labels.astype("float32"), (weights / weights.mean()).astype("float32")


def predict(model: str | Path, features: np.ndarray) -> np.ndarray:
    """Return the Keras model's probabilities for raw features: float32 [N, 13] to float32 [N, K]."""
    return answer(load_network(model), features)


def load_network(model: str | Path) -> "keras.Model":
    """Load a ``.keras`` file, without what it was trained with, and in Keras's safe mode."""
    return load_keras().saving.load_model(model, compile=False, safe_mode=True)


def answer(network: "keras.Model", features: np.ndarray) -> np.ndarray:
    """Return the probabilities of a loaded model, in batches that bound the memory."""
    batches = [features[start : start + BATCH] for start in range(0, len(features), BATCH)]
    return np.concatenate([network(batch, training=False).numpy() for batch in batches])

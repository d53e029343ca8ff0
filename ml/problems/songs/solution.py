"""How the jukebox's model is made: a Keras network on soft labels, one row a song, weighted by chart rows.

The constants and functions are those of `ml.problem.Solution`.
"""

from pathlib import Path

import numpy as np

from ml.measure.metrics import SMALLEST
from ml.onnx.keras_file import answer, load_keras, load_network, save_network
from ml.onnx.keras_model import export_network, guard_network
from ml.problem import Examples, Trained
from ml.problems.songs.hyperparameters import Hyperparameters as Hyperparameters  # noqa: PLC0414
from ml.problems.songs.network import build_network

SUFFIX = ".keras"
FRAMEWORK = "keras"

export = export_network


def train(training: Examples, validation: Examples, hyper: Hyperparameters, model: Path) -> Trained:
    """Train with early stopping on the validation split.

    The loss is ``-sum_k p_k log q_k`` over the song's country distribution p, weighted by chart rows: the
    cross entropy over the rows themselves, up to a constant factor. The same data, seed and lock give the
    same weights on one kind of machine.

    Raises:
        ValueError: the loss is not a number; no model is written.
    """
    keras = load_keras()
    import tensorflow as tf

    keras.utils.set_random_seed(hyper.seed)
    tf.config.experimental.enable_op_determinism()
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
    save_network(guard_network(network), model)
    passes = losses["val_loss"]
    best = int(np.argmin(passes))
    return Trained(
        f"validation loss {passes[best]:.4f} nats after {best + 1} of {len(passes)} epochs", losses
    )


def _arrays(examples: Examples) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features [N, 13], country distributions [N, K] and weights [N] with mean one, float32."""
    weights = examples.weights
    labels = examples.counts / weights[:, None]
    return examples.features, labels.astype("float32"), (weights / weights.mean()).astype("float32")


def predict(model: Path, features: np.ndarray) -> np.ndarray:
    """Return the network's probabilities."""
    return answer(load_network(model), features)

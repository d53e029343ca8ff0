"""How the model is made: a small Keras network. A commit may change all of it.

The constants and functions are those of `ml.problem.Solution`. What you do to features goes into the network,
so that the exported model takes raw features.
"""

from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ml.onnx.keras_file import answer, load_keras, load_network, save_network
from ml.onnx.keras_model import export_network, guard_network
from ml.problem import INPUT, OUTPUT, Examples, Trained

SUFFIX = ".keras"
FRAMEWORK = "keras"

export = export_network


class Hyperparameters(BaseModel):
    """Set with ``--param NAME=VALUE``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    units: int = Field(16, ge=1, description="hidden units")
    epochs: int = Field(60, ge=1, description="most passes over the examples")
    learning_rate: float = Field(0.01, gt=0, description="Adam's step size")
    seed: int = Field(7, ge=0, description="seed of weights and order")


def train(training: Examples, validation: Examples, hyper: Hyperparameters, model: Path) -> Trained:
    """Fit the network, with early stopping on the validation split."""
    keras = load_keras()
    keras.utils.set_random_seed(hyper.seed)
    features = training.features.astype("float64")
    inputs = keras.Input(shape=(features.shape[1],), dtype="float32", name=INPUT)
    x = keras.layers.Normalization(mean=features.mean(axis=0), variance=features.var(axis=0))(inputs)
    # What no example comes near counts as twenty standard deviations: runtimes agree up to there.
    x = keras.ops.clip(x, -20.0, 20.0)
    x = keras.layers.Dense(hyper.units, activation="relu")(x)
    outputs = keras.layers.Dense(len(training.classes), activation="softmax", name=OUTPUT)(x)
    network = keras.Model(inputs, outputs)
    network.compile(optimizer=keras.optimizers.Adam(hyper.learning_rate), loss="categorical_crossentropy")
    fitted = network.fit(
        training.features,
        training.counts / training.weights[:, None],
        sample_weight=training.weights,
        validation_data=(validation.features, validation.counts / validation.weights[:, None]),
        epochs=hyper.epochs,
        callbacks=[keras.callbacks.EarlyStopping(patience=5, restore_best_weights=True)],
        verbose=0,
    )
    save_network(guard_network(network), model)
    losses = {name: [float(value) for value in values] for name, values in fitted.history.items()}
    return Trained(f"validation loss {min(losses['val_loss']):.4f} nats", losses)


def predict(model: Path, features: np.ndarray) -> np.ndarray:
    """Return the network's probabilities."""
    return answer(load_network(model), features)

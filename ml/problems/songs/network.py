"""The Keras network: raw audio features in, a probability for each country's chart out.

Normalisation is a layer, so a server feeds what it has: no scaler file to lose, nothing to get wrong. So is
what happens to nonsense, since every runtime has its own idea of NaN: a feature far beyond what songs have
counts as its bound, and a row with something that no feature can be gets NaN for an answer.
"""

from typing import TYPE_CHECKING

import numpy as np

from ml.onnx.keras_file import load_keras
from ml.problem import INPUT, OUTPUT
from ml.problems.songs.columns import FEATURES
from ml.problems.songs.hyperparameters import Hyperparameters

if TYPE_CHECKING:
    import keras

FARTHEST = 20.0
"""Standard deviations from the mean beyond which a feature counts as just so far. Beyond, float32 would lose
the digits that the answers are compared in, and no song was there to learn from."""


def build_network(features: np.ndarray, countries: int, hyper: Hyperparameters) -> "keras.Model":
    """Build the network and fit its normalisation.

    Args:
        features: raw training features, float32 [N, 13]; their mean and variance go into the model.
        countries: the number of outputs K.
        hyper: width, dropout and seed.

    Returns:
        An uncompiled Functional model, float32 [N, 13] to float32 [N, K], rows summing to one.
    """
    keras = load_keras()

    inputs = keras.Input(shape=(len(FEATURES),), dtype="float32", name=INPUT)
    mean = features.mean(axis=0, dtype="float64")
    variance = features.var(axis=0, dtype="float64")
    x = keras.layers.Normalization(mean=mean, variance=variance, name="normalise")(inputs)
    x = keras.ops.clip(x, -FARTHEST, FARTHEST)
    for index in range(hyper.hidden_layers):
        x = keras.layers.Dense(hyper.hidden_units, activation="relu", name=f"hidden_{index}")(x)
        x = keras.layers.Dropout(hyper.dropout, seed=hyper.seed + index, name=f"dropout_{index}")(x)
    outputs = keras.layers.Dense(countries, activation="softmax", name=OUTPUT)(x)
    return keras.Model(inputs, outputs, name="jukebox")

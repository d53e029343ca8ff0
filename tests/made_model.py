"""A Keras network that nobody trained, of made-up glyphs, and its files: what an export and parity read."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from ml.core.files import write_json
from ml.data.splits import Labels, write_examples
from ml.gate.nouns import Nouns
from ml.onnx.conversion import convert
from ml.onnx.keras_file import answer, load_keras, load_network, save_network
from ml.onnx.keras_model import export_network, guard_network
from ml.onnx.runtimes import AS_SERVED, Runtime, open_runtimes
from ml.problem import INPUT, OUTPUT, Examples

FEATURES = ("width", "height", "ink", "slant", "holes", "dots")
LOW, HIGH = (1, 90_000, 0, -60, 0, 0), (100, 400_000, 1, 0, 11, 1)
CLASSES = tuple(f"glyph {name}" for name in "ABCDEFGHIJKLMNOPQRSTUVWX")
EXAMPLES = 400
FARTHEST = 20.0
"""Standard deviations at which the network clips."""

SOLUTION = SimpleNamespace(
    SUFFIX=".keras",
    export=export_network,
    predict=lambda model, features: answer(load_network(model), features),
)


@dataclass(frozen=True)
class Made:
    """The files of a model, the model itself, and what it was fitted on."""

    folder: Path
    network: object
    features: np.ndarray
    runtimes: dict[str, Runtime]

    def keras(self, rows: np.ndarray) -> np.ndarray:
        """Return Keras's answers."""
        return answer(self.network, rows)

    def convert(self, folder: Path, solution: object = SOLUTION) -> str:
        """Convert the model into another folder."""
        inputs = [self.folder / name for name in ("model.keras", "test.parquet", "labels.json")]
        outputs = [folder / name for name in ("model.onnx", "reference.parquet", "served.json")]
        return convert(solution, *inputs, *outputs, {"model_name": "made", "data_version": "1"})


def build(features: np.ndarray):
    """Build a network with normalisation, as sure of itself as a trained one."""
    keras = load_keras()
    keras.utils.set_random_seed(7)
    inputs = keras.Input((len(FEATURES),), dtype="float32", name=INPUT)
    mean, variance = features.mean(axis=0, dtype="float64"), features.var(axis=0, dtype="float64")
    x = keras.layers.Normalization(mean=mean, variance=variance)(inputs)
    x = keras.ops.clip(x, -FARTHEST, FARTHEST)
    x = keras.layers.Dense(64, activation="relu")(x)
    last = keras.layers.Dense(len(CLASSES), activation="softmax", name=OUTPUT)
    network = keras.Model(inputs, last(x), name="made")
    kernel, bias = last.get_weights()
    last.set_weights([4 * kernel, np.linspace(-1, 1, len(bias))])
    return guard_network(network)


def make_model(folder: Path) -> Made:
    """Build the network, save it as training does, and convert it."""
    rng = np.random.default_rng(7)
    features = rng.uniform(LOW, HIGH, size=(EXAMPLES, len(FEATURES))).astype("float32")
    network = build(features)
    save_network(network, folder / "model.keras")
    counts = rng.integers(0, 9, size=(EXAMPLES, len(CLASSES)), dtype="int32")
    ids = [f"example{index:05}" for index in range(EXAMPLES)]
    write_examples(folder / "test.parquet", Examples(ids, features, counts, CLASSES))
    labels = Labels(definition="glyphs/v1", nouns=Nouns(), features=FEATURES, classes=CLASSES)
    write_json(folder / "labels.json", labels)
    found = Made(folder, network, features, {})
    found.convert(folder)
    runtimes = open_runtimes((folder / "model.onnx").read_bytes(), AS_SERVED)
    found.runtimes.update({runtime.name: runtime for runtime in runtimes})
    return found

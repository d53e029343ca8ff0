"""A Keras network of made-up glyphs, hardly trained, and its files: what an export and parity read."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType

import numpy as np

from ml.core.files import write_json
from ml.data.splits import Labels, write_examples
from ml.gate.nouns import Nouns
from ml.onnx.conversion import convert
from ml.onnx.keras_file import answer, load_network
from ml.onnx.runtimes import AS_SERVED, open_runtimes
from ml.problem import Examples
from ml.problems.template import solution as SOLUTION  # noqa: N812

FEATURES = ("width", "height", "ink", "slant", "holes", "dots")
LOW, HIGH = (1, 90_000, 0, -60, 0, 0), (100, 400_000, 1, 0, 11, 1)
CLASSES = tuple(f"glyph {name}" for name in "ABCDEFGHIJKLMNOPQRSTUVWX")


@dataclass
class Made:
    """The files of a model, and what it was fitted on."""

    folder: Path
    features: np.ndarray

    @cached_property
    def runtimes(self) -> dict:
        runtimes = open_runtimes((self.folder / "model.onnx").read_bytes(), AS_SERVED)
        return {runtime.name: runtime for runtime in runtimes}

    @cached_property
    def network(self) -> object:
        return load_network(self.folder / "model.keras")

    def keras(self, rows: np.ndarray) -> np.ndarray:
        return answer(self.network, rows)

    def convert(self, folder: Path, solution: ModuleType = SOLUTION) -> str:
        """Convert the model into another folder."""
        inputs = [self.folder / name for name in ("model.keras", "test.parquet", "labels.json")]
        outputs = [folder / name for name in ("model.onnx", "reference.parquet", "served.json")]
        return convert(solution, *inputs, *outputs, {"model_name": "made", "data_version": "1"})


def make_model(folder: Path) -> Made:
    """Train, and convert what was trained."""
    rng = np.random.default_rng(7)
    features = rng.uniform(LOW, HIGH, size=(400, len(FEATURES))).astype("float32")
    # The more of one class, the more sure of itself the network is.
    counts = rng.multinomial(20, rng.dirichlet(np.full(len(CLASSES), 0.1), 400)).astype("int32")
    examples = Examples([*map(str, range(400))], features, counts, CLASSES)
    SOLUTION.train(examples, examples, SOLUTION.Hyperparameters(epochs=5), folder / "model.keras")
    write_examples(folder / "test.parquet", examples)
    labels = Labels(definition="glyphs/v1", nouns=Nouns(), features=FEATURES, classes=CLASSES)
    write_json(folder / "labels.json", labels)
    made = Made(folder, features)
    made.convert(folder)
    return made

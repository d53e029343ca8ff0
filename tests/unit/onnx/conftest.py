"""A network as training saves it, on songs that are made up, and all that parity reads: without a run."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from ml.core.files import write_json
from ml.core.settings import Hyperparameters
from ml.problems.songs.columns import RANGES
from ml.data.splits import Examples, write_examples
from ml.gate.served import Served
from ml.onnx.conversion import convert
from ml.problems.songs.network import build_network, guard
from ml.onnx.runtimes import Runtime, open_runtimes
from ml.problems.songs.solution import answer

COUNTRIES = [f"{first}{second}" for first in "ABCDEFGH" for second in "ABCDEFGHI"]
SONGS = 400


@dataclass(frozen=True)
class Made:
    """The files of a model that nobody trained, and the model itself."""

    folder: Path
    network: object
    features: np.ndarray
    runtimes: dict[str, Runtime]

    def keras(self, rows: np.ndarray) -> np.ndarray:
        """Return Keras's answers."""
        return answer(self.network, rows)


def songs(number: int) -> np.ndarray:
    """Make up features within the contract's ranges, float32 [number, 13]."""
    rng = np.random.default_rng(7)
    low, high = np.array(list(RANGES.values()), dtype="float64").T
    # Songs of a few minutes, as there are: in its whole range the duration would drown all others.
    low[1], high[1] = 90_000, 400_000
    return rng.uniform(low, high, size=(number, len(RANGES))).astype("float32")


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Made:
    """Build the network, save it as training does, and convert it."""
    folder = tmp_path_factory.mktemp("made")
    features = songs(SONGS)
    network = build_network(features, len(COUNTRIES), Hyperparameters())
    # As sure of itself as a trained one.
    last = network.layers[-1]
    kernel, bias = last.get_weights()
    last.set_weights([4 * kernel, bias])
    guard(network).save(folder / "model.keras")
    counts = np.random.default_rng(7).integers(0, 9, size=(SONGS, len(COUNTRIES)), dtype="int32")
    test = Examples(
        [f"song{index:018}" for index in range(SONGS)], features, counts, np.zeros(SONGS, "int16")
    )
    write_examples(folder / "test.parquet", test)
    write_json(folder / "labels.json", {"schema": "jukebox.labels/v1", "countries": COUNTRIES})
    inputs = [folder / name for name in ("model.keras", "test.parquet", "labels.json")]
    outputs = [folder / name for name in ("model.onnx", "reference.parquet", "served.json")]
    convert(*inputs, *outputs, {"model_name": "made"})
    served = Served(runtime="openvino", settings={"INFERENCE_PRECISION_HINT": "f32"})
    runtimes = open_runtimes((folder / "model.onnx").read_bytes(), served)
    return Made(folder, guard(network), features, {runtime.name: runtime for runtime in runtimes})

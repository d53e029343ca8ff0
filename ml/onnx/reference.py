"""The trained model's answers, as `ml.onnx.conversion` writes them: read without loading that model."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq


@dataclass(frozen=True)
class Reference:
    """Inputs of every family, and what the trained model answers.

    Attributes:
        source: ``reference`` (native or self-reported), ``model_digest`` and ``test_digest``: what the
            answers are of.
        families: the family of each row, text [N].
        features: raw features, float32 [N, F].
        answers: the trained model's probabilities, float32 [N, K].
    """

    source: dict[str, str]
    families: np.ndarray
    features: np.ndarray
    answers: np.ndarray


def read_reference(path: str | Path) -> Reference:
    """Read a reference.

    Raises:
        OSError: the file cannot be read.
        KeyError: it is no reference.
    """
    with pq.ParquetFile(path) as file:
        table = file.read(use_threads=False)
    names = np.array(table["family"].to_pylist())
    features, answers = (
        np.from_dlpack(table[name].combine_chunks().flatten()).reshape(len(names), -1)
        for name in ("features", "probabilities")
    )
    source = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    return Reference(source, names, features, answers)

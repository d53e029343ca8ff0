"""Training examples, and the split of a run.

A run splits by recording (`ml.data.recordings`), so that no test song is in the training split under another
id. The split of raw tables follows from the hash of the recording's key, that of a snapshot from its column
``share``. Reading a split costs numpy and pyarrow, nothing heavier.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ml.core.files import read_json, whole_file
from ml.data.columns import FEATURES

SPLITS = ("train", "val", "test")

Share = Literal["train", "validation", "self-test"]
SPLIT_OF_SHARE: dict[Share, str] = {"train": "train", "validation": "val", "self-test": "test"}
"""What a run does with each share of a snapshot."""


@dataclass(frozen=True)
class Examples:
    """One split in memory.

    Attributes:
        ids: spotify ids, [N].
        features: raw audio features in the order of `FEATURES`, float32 [N, 13].
        counts: chart rows by country, int32 [N, K].
        released: the year of release, int16 [N], 0 where it is not known. No model sees it.
    """

    ids: list[str]
    features: np.ndarray
    counts: np.ndarray
    released: np.ndarray

    @property
    def weights(self) -> np.ndarray:
        """Chart rows of each song, float64 [N]."""
        rows: np.ndarray = self.counts.sum(axis=1)
        return rows.astype("float64")

    def take(self, rows: np.ndarray) -> "Examples":
        """Return the examples at some rows, given by their indices."""
        ids = [self.ids[row] for row in rows]
        return Examples(ids, self.features[rows], self.counts[rows], self.released[rows])


def split_of(recording: str) -> str:
    """Return the split of a recording of raw tables: 70 % train, 10 % val, 20 % test, by the key's hash."""
    percent = int(hashlib.sha256(recording.encode()).hexdigest()[:8], 16) % 100
    return "train" if percent < 70 else "val" if percent < 80 else "test"


def write_examples(path: str | Path, examples: Examples) -> None:
    """Write one split to a parquet file: spotify_id, the features, ``counts`` (a list), and ``released``.

    Raises:
        OSError: the file cannot be written.
    """
    columns = {name: pa.array(examples.features[:, index]) for index, name in enumerate(FEATURES)}
    counts = pa.FixedSizeListArray.from_arrays(pa.array(examples.counts.ravel()), examples.counts.shape[1])
    with whole_file(path) as file:
        table = {"spotify_id": examples.ids, **columns, "counts": counts, "released": examples.released}
        pq.write_table(pa.table(table), file)


def read_examples(path: str | Path) -> Examples:
    """Read one split from its parquet file."""
    # Not pq.read_table and to_numpy: both import pandas where it is installed.
    with pq.ParquetFile(path) as file:
        table = file.read(use_threads=False)
    features = np.column_stack([np.from_dlpack(table[name].combine_chunks()) for name in FEATURES])
    counts = np.from_dlpack(table["counts"].combine_chunks().flatten())
    released = np.from_dlpack(table["released"].combine_chunks())
    return Examples(table["spotify_id"].to_pylist(), features, counts.reshape(len(table), -1), released)


def read_labels(path: str | Path) -> list[str]:
    """Read the countries, in the order of the model's outputs."""
    return list(read_json(path)["countries"])

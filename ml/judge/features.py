"""The sealed features by themselves: what infer gets of the holdout. No ids, no labels, no years."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ml.core.files import whole_file
from ml.data.columns import FEATURES


def write_features(path: Path, features: np.ndarray) -> None:
    """Write raw features, float32 [N, 13], a column each.

    Raises:
        OSError: the file cannot be written.
    """
    columns = {name: pa.array(features[:, index]) for index, name in enumerate(FEATURES)}
    with whole_file(path) as file:
        pq.write_table(pa.table(columns), file)


def read_features(path: Path) -> np.ndarray:
    """Read raw features, float32 [N, 13]."""
    with pq.ParquetFile(path) as file:
        table = file.read(use_threads=False)
    return np.column_stack([np.from_dlpack(table[name].combine_chunks()) for name in FEATURES])

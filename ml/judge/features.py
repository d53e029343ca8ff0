"""The sealed features by themselves: what infer gets of the holdout. No ids, no labels, no slices."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ml.core.files import whole_file


def write_features(path: Path, names: Sequence[str], features: np.ndarray) -> None:
    """Write raw features, float32 [N, F], a column each.

    Raises:
        OSError: the file cannot be written.
    """
    columns = {name: pa.array(features[:, index]) for index, name in enumerate(names)}
    with whole_file(path) as file:
        pq.write_table(pa.table(columns), file)


def read_features(path: Path) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the names of the features, and their raw values, float32 [N, F]."""
    with pq.ParquetFile(path) as file:
        table = file.read(use_threads=False)
    values = np.column_stack([np.from_dlpack(column.combine_chunks()) for column in table.columns])
    return tuple(table.column_names), values

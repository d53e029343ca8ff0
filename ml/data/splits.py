"""The split of a run, and the files of its splits.

A run splits by recording (`ml.data.recordings`), so that no test example is in the training split under
another id. The split of raw tables follows from the hash of the recording's key, that of a snapshot from its
column ``share``. Reading a split costs numpy and pyarrow, nothing heavier.
"""

import hashlib
import json
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from ml.core.files import read_json, whole_file
from ml.core.records import Names, Record, Text
from ml.gate.nouns import Nouns
from ml.problem import Examples

SPLITS = ("train", "val", "test")

Share = Literal["train", "validation", "self-test"]
SPLIT_OF_SHARE: dict[Share, str] = {"train": "train", "validation": "val", "self-test": "test"}
"""What a run does with each share of a snapshot."""

CLASSES = b"classes"
"""The key in a file's metadata below which the classes are, as a JSON list."""

FAMILY = "slice:"
"""The columns whose names begin with this hold the examples' slices."""


class Labels(Record):
    """``labels.json``: what the model's inputs and outputs are called, in their order."""

    schema_: Literal["jukebox.labels/v2"] = Field("jukebox.labels/v2", alias="schema")
    definition: Text
    nouns: Nouns
    features: Names
    classes: Names


def split_of(recording: str) -> str:
    """Return the split of a recording of raw tables: 70 % train, 10 % val, 20 % test, by the key's hash."""
    percent = int(hashlib.sha256(recording.encode()).hexdigest()[:8], 16) % 100
    return "train" if percent < 70 else "val" if percent < 80 else "test"


def write_examples(path: str | Path, examples: Examples) -> None:
    """Write one split to a parquet file: ``id``, ``features`` and ``counts`` (lists), and a column a family.

    Raises:
        OSError: the file cannot be written.
    """
    table = pa.table(
        {
            "id": pa.array(examples.ids, pa.string()),
            "features": as_lists(examples.features),
            "counts": as_lists(examples.counts),
            **{
                f"{FAMILY}{name}": pa.array(list(parts), pa.string())
                for name, parts in examples.slices.items()
            },
        }
    )
    with whole_file(path) as file:
        pq.write_table(table.replace_schema_metadata({CLASSES: json.dumps(examples.classes)}), file)


def as_lists(rows: np.ndarray) -> pa.FixedSizeListArray:
    """Return rows [N, C] as an Arrow column of lists, without pandas, which pa.array would import."""
    kind = pa.from_numpy_dtype(rows.dtype)
    buffer = pa.py_buffer(np.ascontiguousarray(rows))
    return pa.FixedSizeListArray.from_arrays(
        pa.Array.from_buffers(kind, rows.size, [None, buffer]), rows.shape[1]
    )


def read_examples(path: str | Path) -> Examples:
    """Read one split from its parquet file."""
    # Not pq.read_table and to_numpy: both import pandas where it is installed.
    with pq.ParquetFile(path) as file:
        table = file.read(use_threads=False)
    features, counts = (
        np.from_dlpack(table[name].combine_chunks().flatten()).reshape(len(table), -1)
        for name in ("features", "counts")
    )
    slices = {
        name.removeprefix(FAMILY): np.array(table[name].to_pylist(), dtype=object)
        for name in table.column_names
        if name.startswith(FAMILY)
    }
    classes = tuple(json.loads(table.schema.metadata[CLASSES]))
    return Examples(table["id"].to_pylist(), features, counts, classes, slices)


def read_labels(path: str | Path) -> Labels:
    """Read ``labels.json``.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    return Labels.load(read_json(path))

"""Examples by recording: one recording often has several ids, and all of them belong on one side of a split.

Ids are one recording if they share all features exactly, or a title, or if a chain of such ids joins them.
What a title is, the problem's definition says (`ml.problem.Definition.read_entries`).
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

MARKS = ("recording", "share")
"""Columns that the examples' table of a snapshot has besides."""


def read_marks(path: str | Path, id_column: str) -> pd.DataFrame | None:
    """Return ``id``, ``recording`` and ``share`` of a snapshot's table, None of any other table."""
    if not set(MARKS) <= set(pq.read_schema(path).names):
        return None
    marks: pd.DataFrame = pq.read_table(path, columns=[id_column, *MARKS]).to_pandas()
    return marks.rename(columns={id_column: "id"}).drop_duplicates("id")


def feature_digests(features: np.ndarray) -> list[str]:
    """Return a digest of each row of features, float32 [N, 13]: 64 hexadecimal digits."""
    # Zero has two signs, and equals itself under both.
    values = np.ascontiguousarray(features, dtype="<f4") + np.float32(0)
    return [hashlib.sha256(row.tobytes()).hexdigest() for row in values]


def title_digests(titles: Sequence[str]) -> list[str]:
    """Return a digest of each title, "" for none."""
    return [hashlib.sha256(title.encode()).hexdigest() if title else "" for title in titles]


def joined(*links: Sequence[str]) -> np.ndarray:
    """Return a number for each row, the same for rows that a chain of shared values joins, int64 [N].

    Args:
        links: columns of N values each; "" joins nothing.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows = len(links[0])
    first = rows
    ends = []
    for values in links:
        codes, distinct = pd.factorize(pd.Series([value or None for value in values], dtype="object"))
        known = np.flatnonzero(codes >= 0)
        ends.append((known, first + codes[known]))
        first += len(distinct)
    row, node = (np.concatenate(side) for side in zip(*ends, strict=True))
    graph = coo_array((np.ones(len(row), dtype="int8"), (row, node)), shape=(first, first))
    return np.asarray(connected_components(graph, directed=False)[1][:rows], dtype="int64")


def recording_keys(features: Sequence[str], titles: Sequence[str], groups: np.ndarray) -> np.ndarray:
    """Return the key of each row's group: its smallest title digest, or feature digest if it has no title.

    A key stays the same when ids of the same title come or go, and when features are measured anew.

    Args:
        features: feature digests, [N].
        titles: title digests, "" for none, [N].
        groups: as `joined` returns them, [N].
    """
    named = [title or None for title in titles]
    table = pd.DataFrame({"group": groups, "features": features, "title": named})
    smallest = table.groupby("group")[["title", "features"]].min()
    keys = smallest["title"].fillna(smallest["features"])
    return np.asarray(keys.reindex(groups), dtype="object")


def recordings_of(entries: pd.DataFrame, features: Sequence[str]) -> np.ndarray:
    """Return the key of each entry's recording, [N]: 64 hexadecimal digits.

    Args:
        entries: as `ml.problem.Definition.read_entries` returns them.
        features: the names of the features.
    """
    digests = feature_digests(entries[list(features)].to_numpy("float32"))
    titles = title_digests(entries["title"].to_list())
    return recording_keys(digests, titles, joined(digests, titles))

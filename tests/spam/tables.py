"""Tables of the problem: the sample's in memory, and small ones made by hand."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from ml.data.uris import table_paths

from . import definition

Tables = dict[str, pd.DataFrame]
_sample = cache(definition.make_sample)


def sample(messages: int = 400, seed: int = 7) -> Tables:
    """Give the tables of a sample, to be changed at will."""
    votes, table = _sample(messages, seed)
    return {"votes": votes.copy(), "messages": table.copy()}


def write(folder: Path, tables: Tables) -> dict[str, Path]:
    """Write tables as parquet files, and return where each is."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = table_paths(tables, folder)
    for name, table in tables.items():
        table.to_parquet(paths[name], index=False)
    return paths


def uris(paths: dict[str, Path]) -> dict[str, str]:
    return {name: str(path) for name, path in paths.items()}


def votes(rows: Sequence[tuple[str, str | None, int]]) -> pd.DataFrame:
    """Make votes from (message, verdict, how many)."""
    table = pd.DataFrame(rows, columns=["message", "verdict", "times"])
    return table.loc[table.index.repeat(table["times"]), ["message", "verdict"]].assign(day=pd.Timestamp(0))


def random_entries(count: int, seed: int = 1, prefix: str = "m") -> pd.DataFrame:
    """Make entries as `read_entries` returns them, none near another, each with a title of its own."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(0.05, 0.95, (count, len(definition.FEATURES)))
    values[:, 0], values[:, -1] = rng.integers(100, 9000, count), rng.integers(0, 2, count)
    entries = pd.DataFrame(values.astype("float32"), columns=list(definition.FEATURES))
    entries.insert(0, "id", [f"{prefix}{row}" for row in range(count)])
    return entries.assign(title=[f"title of {name}" for name in entries["id"]])

"""Tables in, examples out: the splits of a run, and its labels."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from ml.core.errors import DataError
from ml.core.files import write_json
from ml.data.recordings import read_marks, recordings_of
from ml.data.splits import SPLIT_OF_SHARE, SPLITS, Labels, split_of, write_examples
from ml.data.tables import require_structure
from ml.problem import Definition


def make_splits(
    definition: Definition, tables: Mapping[str, Path], targets: Mapping[str, Path], labels: str | Path
) -> str:
    """Make the examples of all tables, split by recording, and say how many there are.

    Args:
        definition: the problem's.
        tables: Parquet files by name; the examples' table of a snapshot has a column ``share``.
        targets: the file of `ml.data.splits` to write for each of `SPLITS`.
        labels: the `Labels` to write.

    Raises:
        DataError: a table is empty, a column is missing or of another kind, or a split has no examples.
    """
    for name, contract in definition.TABLES.items():
        require_structure(name, tables[name], contract.columns)
    entries = definition.read_entries(tables)
    examples = definition.make_examples(tables, entries, None)
    table = definition.EXAMPLES_TABLE
    marks = read_marks(tables[table], definition.TABLES[table].id)
    splits = _splits_of(entries, definition) if marks is None else _splits_marked(table, marks)
    split = splits.reindex(examples.ids).to_numpy()
    nouns = definition.NOUNS
    for name in SPLITS:
        chosen = np.flatnonzero(split == name)
        if not len(chosen):
            raise DataError(
                f"only {len(examples.ids)} {nouns.examples}, so the {name} split is empty; give more of them"
            )
        write_examples(targets[name], examples.take(chosen))
    write_json(
        labels,
        Labels(
            definition=definition.VERSION,
            nouns=nouns,
            features=tuple(definition.FEATURES),
            classes=examples.classes,
        ),
    )
    sizes = ", ".join(f"{(split == name).sum():,} {name}" for name in SPLITS)
    return f"{len(examples.ids):,} {nouns.examples} in {len(examples.classes)} {nouns.classes}: {sizes}"


def _splits_of(entries: pd.DataFrame, definition: Definition) -> pd.Series:
    """Return the split of each entry of source tables by its id."""
    recordings = recordings_of(entries, definition.FEATURES)
    return pd.Series([split_of(recording) for recording in recordings], index=pd.Index(entries["id"]))


def _splits_marked(table: str, marks: pd.DataFrame) -> pd.Series:
    """Return the split of each entry of a snapshot by its id.

    Raises:
        DataError: the shares of the snapshot are not what they should be.
    """
    strange = marks[~marks["share"].isin(list(SPLIT_OF_SHARE))]
    torn = marks[marks.groupby("recording")["share"].transform("nunique") != 1]
    for rows, fault in ((strange, "is none of a snapshot"), (torn, "is not that of all of its recording")):
        if len(rows):
            first = rows.iloc[0]
            raise DataError(
                f"{table}: column share: {first['share']!r} (id {first['id']}) {fault}; fetch the snapshot "
                "again"
            )
    return pd.Series(marks["share"].map(SPLIT_OF_SHARE).to_numpy(), index=pd.Index(marks["id"]))

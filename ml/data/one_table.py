"""The usual problem, one table with a row an example and one class each: functions for its definition."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pyarrow.parquet as pq

from ml.core.errors import DataError
from ml.data.contract import data_check, schema_checks
from ml.data.tables import read_columns
from ml.problem import Contents, Examples, TableContract


def check_table(
    name: str, path: Path, contract: TableContract, ranges: Mapping[str, tuple[float, float]], least_rows: int
) -> Contents:
    """Check that a table has enough rows, no empty values, no id twice, and each number in its range.

    The checks are ``NAME.rows``, ``NAME.present``, ``NAME.unique`` and ``NAME.in_range``.

    Args:
        name: the table's name.
        path: a Parquet file of the right structure.
        contract: its columns.
        ranges: the smallest and largest value of columns that have bounds.
        least_rows: so few rows are enough.

    Raises:
        DataError: the file is damaged.
    """
    table = read_columns(name, path, contract.columns)
    names = {(column, "not_nullable"): f"{name}.present" for column in contract.columns}
    names |= {(contract.id, "field_uniqueness"): f"{name}.unique"}
    names |= {(column, "range"): f"{name}.in_range" for column in ranges}
    bounds = {column: pa.Check.in_range(*ends, name="range") for column, ends in ranges.items()}
    schema = pa.DataFrameSchema(
        {
            column: pa.Column(nullable=False, unique=column == contract.id, checks=bounds.get(column))
            for column in contract.columns
        }
    )
    size = data_check(f"{name}.rows", len(table), ">=", least_rows, f"only {len(table)} rows")
    return Contents([size, *schema_checks(table, schema, names, [contract.id])], {})


def read_table_entries(path: Path, contract: TableContract, features: Sequence[str]) -> pd.DataFrame:
    """Return what `ml.problem.Definition.read_entries` returns, without titles.

    Args:
        path: a Parquet file that keeps to the contract.
        contract: its columns.
        features: the names of its features.
    """
    table = pq.read_table(path, columns=[contract.id, *features]).to_pandas()
    entries = table.rename(columns={contract.id: "id"}).drop_duplicates("id").sort_values("id")
    read: pd.DataFrame = entries.astype(dict.fromkeys(features, "float32")).assign(title="")
    return read.reset_index(drop=True)


def make_table_examples(
    path: Path,
    contract: TableContract,
    label: str,
    features: Sequence[str],
    entries: pd.DataFrame,
    classes: Sequence[str] | None,
    slices: Sequence[str] = (),
) -> Examples:
    """Return what `ml.problem.Definition.make_examples` returns.

    Args:
        path: a Parquet file that keeps to the contract.
        contract: its columns.
        label: the column with the class.
        features: the names of the features.
        entries: of `read_table_entries`, all or some.
        classes: the classes; examples of others are left out. None takes all that there are, sorted.
        slices: columns of text whose values are the parts of a family of slices.

    Raises:
        DataError: none of the entries has a class.
    """
    table = pq.read_table(path, columns=[contract.id, label, *slices]).to_pandas()
    rows = entries.merge(table.drop_duplicates(contract.id), left_on="id", right_on=contract.id)
    named = tuple(sorted(rows[label].astype(str).unique()) if classes is None else classes)
    rows = rows[rows[label].astype(str).isin(named)]
    if rows.empty:
        raise DataError(f"{path.stem}: column {label}: no example has one of the classes {', '.join(named)}")
    counts = np.zeros((len(rows), len(named)), dtype="int32")
    counts[np.arange(len(rows)), pd.Index(named).get_indexer(rows[label].astype(str))] = 1
    families = {family: rows[family].fillna("").astype(str).to_numpy(object) for family in slices}
    inputs = rows[list(features)].to_numpy("float32")
    return Examples(rows["id"].astype(str).to_list(), inputs, counts, named, families)

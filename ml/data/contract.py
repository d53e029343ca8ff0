"""The data contract: what the tables must be before anything is trained on them.

The engine checks that each table has its columns, each of its kind, and rows; the problem's definition checks
what is in them (`ml.problem.Definition.check_contents`). Each check lands in the data report with its bound,
whether it passes or not.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import pandas as pd
import pandera.errors
import pandera.pandas as pa
import pyarrow.parquet as pq

from ml.core.errors import DataError
from ml.core.files import read_json, write_bytes, write_json
from ml.data.drift import drift_from
from ml.data.profile import Profile, make_profile
from ml.data.tables import structure_problems
from ml.gate.check import HOLDS
from ml.gate.subjects.data import DataCheck, DataReport
from ml.gate.subjects.drift import Drift
from ml.problem import Contents, Definition, Kind

WHOLE_TABLE = "*"
"""Stands for the column in the name of a check of a whole table."""


def validate(
    definition: Definition,
    tables: Mapping[str, Path],
    source: str | Path,
    champion_profile: str | Path,
    champion: str,
    report: str | Path,
    profile: str | Path,
) -> str:
    """Check the tables against the contract, write report and profile, and say how many checks passed.

    Drift from the champion's training data is measured; whether it is too much, the gate decides.

    Args:
        definition: the problem's.
        tables: Parquet files by name.
        source: ``source.json`` of `ml.data.sources.fetch` or `ml.data.snapshots.fetch_snapshot`.
        champion_profile: ``profile.json`` of the champion; empty where there is no champion, or it has none.
        champion: the candidate in production, "" for none.
        report: the `DataReport` to write, also when the contract is broken.
        profile: the `Profile` of these tables to write; empty where the contract is broken.

    Raises:
        DataError: the contract is broken; the message names column, count and an example.
    """
    checks = [
        check
        for name, contract in definition.TABLES.items()
        for check in check_structure(name, tables[name], contract.columns)
    ]
    contents = Contents((), {})
    origin = read_json(source)
    ours = None
    if all(check.passed for check in checks):
        contents = definition.check_contents(tables)
        checks += contents.checks
        if all(check.passed for check in checks):
            examples = definition.make_examples(tables, definition.read_entries(tables), None)
            ours = make_profile(
                examples, definition.FEATURES, origin["data_version"], synthetic=origin["synthetic"]
            )
    left_out = origin.get("left_out", {})
    made = DataReport(
        definition=definition.VERSION,
        nouns=definition.NOUNS,
        data_version=origin["data_version"],
        synthetic=origin["synthetic"],
        tables="snapshot" if "snapshot" in origin else "source",
        rows={name: pq.read_metadata(tables[name]).num_rows for name in definition.TABLES},
        examples_table=definition.EXAMPLES_TABLE,
        set_aside=dict(contents.set_aside),
        both_sides=left_out.get("both_sides", 0),
        near_copies=left_out.get("near_copies", 0),
        checks=tuple(checks),
        drift=_drift(champion_profile, champion, ours),
    )
    write_json(report, made)
    write_bytes(profile, ours.to_bytes() if ours else b"")
    failed = [f"{check.name}: {check.detail}" for check in checks if not check.passed]
    if failed:
        remedy = "correct the tables, or leave out what is wrong in them, and run again"
        raise DataError(f"the data contract is broken: {'; '.join(failed)}; {remedy}")
    left_out = "".join(f", {count:,} {kind} left out" for kind, count in made.set_aside.items() if count)
    return f"{len(checks)} checks passed{left_out}{_drift_in_brief(made.drift)}"


def check_structure(name: str, path: str | Path, kinds: Mapping[str, Kind]) -> list[DataCheck]:
    """Check that a table has its columns, each of its kind."""
    missing, wrong = structure_problems(path, kinds)
    return [
        data_check(f"{name}.columns", len(missing), "<=", 0, "; ".join(missing)),
        data_check(f"{name}.types", len(wrong), "<=", 0, "; ".join(wrong)),
    ]


def data_check(
    name: str, value: float, relation: Literal["<=", ">="], bound: float, detail: str
) -> DataCheck:
    """Make a check of the contract; its detail is kept only when it fails."""
    passed = bool(HOLDS[relation](value, bound))
    return DataCheck(
        name=name,
        value=float(value),
        relation=relation,
        bound=float(bound),
        passed=passed,
        detail="" if passed else detail,
    )


def schema_checks(
    table: pd.DataFrame, schema: pa.DataFrameSchema, names: Mapping[tuple[str, str], str], key: Sequence[str]
) -> list[DataCheck]:
    """Run pandera over a whole table: one check for each name, which counts the rows that break it.

    Args:
        table: the rows.
        schema: what they must be. A check of the whole table is one of uniqueness.
        names: the name of the check for each column (`WHOLE_TABLE` for none) and name of pandera's check.
        key: the columns that must be unique together, the id first; messages name them.
    """
    counts = dict.fromkeys(names.values(), 0)
    details: dict[str, list[str]] = {name: [] for name in counts}
    try:
        schema.validate(table, lazy=True)
    except pandera.errors.SchemaErrors as error:
        for problem in error.schema_errors:
            column = problem.schema.name or WHOLE_TABLE
            # pandera names its own checks by a string, a problem's by a Check.
            check = getattr(problem.check, "name", problem.check)
            name = names[column, check]
            rows = problem.failure_cases["index"].unique()
            # Of several null ids pandera says twice that they repeat; they are counted as nulls.
            if not len(rows):
                continue
            counts[name] += len(rows)
            details[name].append(_example(table, column, len(rows), rows[0], key))
    return [data_check(name, count, "<=", 0, "; ".join(details[name])) for name, count in counts.items()]


def _example(table: pd.DataFrame, column: str, count: int, row: int, key: Sequence[str]) -> str:
    first = table.loc[row]
    if column == WHOLE_TABLE:
        where = f"columns {', '.join(key)}: {count} rows repeat an earlier one"
        return f"{where}, e.g. {', '.join(str(first[name]) for name in key)}"
    return f"column {column}: {count} rows, e.g. {first[column]} ({key[0]} {first[key[0]]}, row {row + 1})"


def _drift(champion_profile: str | Path, champion: str, ours: Profile | None) -> Drift | None:
    """Compare with the champion's profile; None without a champion."""
    if not champion:
        return None
    data = Path(champion_profile).read_bytes()
    return drift_from(champion, data, ours, "the champion has no profile of its training data")


def _drift_in_brief(drift: Drift | None) -> str:
    """Return the worst drift in a few words."""
    if drift is None:
        return ""
    if drift.measured is None:
        return f"; {drift.not_compared}"
    name, worst = max(drift.measured.features.items(), key=lambda item: item[1].psi)
    return f"; drift at most {worst.psi:.3f} (PSI of {name})"

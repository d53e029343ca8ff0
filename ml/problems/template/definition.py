"""What the data is: the tables, their contract, and how they become examples.

The constants and functions are those of `ml.problem.Definition`. It is released to the judge before a commit
uses it: change VERSION whenever an example would be another one.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.gate.nouns import Nouns
from ml.problem import Contents, Examples, NearCopies, TableContract

if TYPE_CHECKING:
    import pandas as pd

VERSION = "template/v1"
NOUNS = Nouns(
    example="point", examples="points", class_="colour", classes="colours", row="point", rows="points"
)
FEATURES = ("x", "y", "z")
RANGES = dict.fromkeys(FEATURES, (-100.0, 100.0))
"""The smallest and largest value that a feature may have."""

LABEL = "label"
TABLES = {
    "template": TableContract({"id": "text", LABEL: "text", **dict.fromkeys(FEATURES, "a number")}, id="id")
}
EXAMPLES_TABLE = "template"
NEAR_COPIES: NearCopies | None = None
LEAST_ROWS = 200


def describe_sample(uri: str) -> Mapping[str, Any]:
    """Return what makes the sample this one and no other."""
    if uri != "sample:":
        raise ValueError("there is one sample, and its URI is sample:")
    return {"sample": VERSION, "generator": 1}


def write_sample(uri: str, targets: Mapping[str, Path]) -> None:
    """Write a table to try the pipeline on: points in three rings, with some noise."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(7)
    points = pd.DataFrame(rng.normal(size=(3000, 3)), columns=list(FEATURES))
    radius = np.hypot(points["x"], points["y"]) + rng.normal(scale=0.1, size=3000)
    label = np.digitize(radius, [0.9, 1.5])
    points.insert(0, "id", [f"point-{number:04}" for number in range(len(points))])
    points.insert(1, LABEL, np.array(["blue", "green", "red"])[label])
    points.to_parquet(targets["template"], index=False)


def check_contents(tables: Mapping[str, Path]) -> Contents:
    """Check rows, ids and ranges; add what else must hold in your tables."""
    from ml.data.one_table import check_table

    return check_table("template", tables["template"], TABLES["template"], RANGES, LEAST_ROWS)


def read_entries(tables: Mapping[str, Path]) -> "pd.DataFrame":
    """Return every row that can be used, with its features."""
    from ml.data.one_table import read_table_entries

    return read_table_entries(tables["template"], TABLES["template"], FEATURES)


def make_examples(
    tables: Mapping[str, Path], entries: "pd.DataFrame", classes: Sequence[str] | None
) -> Examples:
    """Return an example for each row, with its class."""
    from ml.data.one_table import make_table_examples

    return make_table_examples(tables["template"], TABLES["template"], LABEL, FEATURES, entries, classes)

"""What the data is: one table, a row an image of 8 by 8 pixels, ten classes.

The constants and functions are those of `ml.problem.Definition`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.gate.nouns import Nouns
from ml.problem import Contents, Examples, NearCopies, TableContract

if TYPE_CHECKING:
    import pandas as pd

VERSION = "digits/v1"
NOUNS = Nouns(
    example="image", examples="images", class_="digit", classes="digits", row="image", rows="images"
)
FEATURES = tuple(f"pixel_{row}_{column}" for row in range(8) for column in range(8))
TABLES = {
    "digits": TableContract(
        {"image": "text", "label": "text", **dict.fromkeys(FEATURES, "a number")}, id="image"
    )
}
EXAMPLES_TABLE = "digits"
NEAR_COPIES: NearCopies | None = None


def describe_sample(uri: str) -> Mapping[str, Any]:
    """Return the name of the one sample that there is."""
    if uri != "sample:":
        raise ValueError("there is one sample, and its URI is sample:")
    return {"sample": "sklearn.datasets.load_digits"}


def write_sample(uri: str, targets: Mapping[str, Path]) -> None:
    """Write the digits that scikit-learn ships."""
    import pandas as pd
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    table = pd.DataFrame(pixels.astype("float32"), columns=list(FEATURES))
    table.insert(0, "image", [f"image-{number:04}" for number in range(len(table))])
    table.insert(1, "label", labels.astype(str))
    table.to_parquet(targets["digits"], index=False)


def check_contents(tables: Mapping[str, Path]) -> Contents:
    """Check rows, ids and the range of each pixel."""
    from ml.data.one_table import check_table

    return check_table(
        "digits", tables["digits"], TABLES["digits"], dict.fromkeys(FEATURES, (0.0, 16.0)), 500
    )


def read_entries(tables: Mapping[str, Path]) -> "pd.DataFrame":
    """Return all images."""
    from ml.data.one_table import read_table_entries

    return read_table_entries(tables["digits"], TABLES["digits"], FEATURES)


def make_examples(
    tables: Mapping[str, Path], entries: "pd.DataFrame", classes: Sequence[str] | None
) -> Examples:
    """Return an example for each image."""
    from ml.data.one_table import make_table_examples

    return make_table_examples(tables["digits"], TABLES["digits"], "label", FEATURES, entries, classes)

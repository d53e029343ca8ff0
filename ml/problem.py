"""The boundary between the engine and a problem: the engine knows no data, no features and no model.

A problem is a package with three modules, because two belong to the trusted side and one to the commit:

- ``definition`` (`Definition`): the tables, their contract, and how they become examples. It has a version,
  and is released to the judge before any commit uses it.
- ``policy``: ``THRESHOLDS``, the defaults of the policy where they differ from those of the engine.
- ``solution`` (`Solution`): how a model is trained, exported and asked. A commit may change all of it.

The modules themselves have the attributes and functions of these protocols; none needs a class.
`ml.problems` has the problems of this repository, `examples/digits` is a small one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, cast

from pydantic import BaseModel

from ml.core.problems import load_part
from ml.gate.nouns import Nouns
from ml.gate.subjects.data import DataCheck

if TYPE_CHECKING:
    # Only for annotations: what submits and promotes goes without both.
    import numpy as np
    import pandas as pd

INPUT = "features"
OUTPUT = "probabilities"
"""The names of the one input and the one output of every exported model."""

LARGEST = 1e15
"""A row with a feature beyond this, with NaN or an infinity gets NaN for each probability. It is far below
what float32 and bfloat16 can hold: neither takes it for infinity."""

Kind = Literal["text", "a number", "a date"]


@dataclass(frozen=True)
class TableContract:
    """The columns that a table must have, by kind; a truth value counts as a number.

    ``id`` is the column that names the example to which a row belongs.
    """

    columns: Mapping[str, Kind]
    id: str


@dataclass(frozen=True)
class NearCopies:
    """How a near copy of a sealed example is recognised: each feature but ``ignored`` is within 1 %.

    ``sorted_by`` is a feature of many values: only examples whose values of it are near are compared.
    """

    ignored: tuple[str, ...]
    sorted_by: str


@dataclass(frozen=True)
class Examples:
    """Examples in memory.

    Attributes:
        ids: [N].
        features: raw values in the order of `Definition.FEATURES`, float32 [N, F].
        counts: rows by class, int32 [N, K]; where an example has one class, a 1 in its column.
        classes: the K classes.
        slices: by family: the part that each example belongs to, text [N], "" for none. No model sees them.
    """

    ids: list[str]
    features: "np.ndarray"
    counts: "np.ndarray"
    classes: tuple[str, ...]
    slices: "Mapping[str, np.ndarray]" = field(default_factory=dict)

    @property
    def weights(self) -> "np.ndarray":
        """Rows of each example, float64 [N]."""
        rows: np.ndarray = self.counts.sum(axis=1)
        return rows.astype("float64")

    def take(self, rows: "np.ndarray") -> "Examples":
        """Return the examples at some rows, given by their indices."""
        return Examples(
            [self.ids[row] for row in rows],
            self.features[rows],
            self.counts[rows],
            self.classes,
            {family: values[rows] for family, values in self.slices.items()},
        )


class Contents(NamedTuple):
    """What is in the tables, as the definition sees it: checks, and how many rows it leaves out, by kind."""

    checks: Sequence[DataCheck]
    set_aside: Mapping[str, int]


class Definition(Protocol):
    """What the data is, and how tables become examples."""

    @property
    def VERSION(self) -> str:  # noqa: N802
        """The name and version, as ``digits/v1``: another version makes another holdout."""

    @property
    def NOUNS(self) -> Nouns:  # noqa: N802
        """What messages call examples, classes and rows."""

    @property
    def FEATURES(self) -> Sequence[str]:  # noqa: N802
        """The features, in the order of the model's input."""

    @property
    def TABLES(self) -> Mapping[str, TableContract]:  # noqa: N802
        """The tables by name."""

    @property
    def EXAMPLES_TABLE(self) -> str:  # noqa: N802
        """The table that has a row for each example: that of a snapshot has two columns more."""

    @property
    def NEAR_COPIES(self) -> NearCopies | None:  # noqa: N802
        """How near copies of sealed examples are recognised; None where only exact copies count."""

    def describe_sample(self, uri: str) -> Mapping[str, Any]:
        """Return what makes the sample of a ``sample:`` URI this one and no other, as JSON.

        Raises:
            ValueError: the URI names no sample.
        """

    def write_sample(self, uri: str, targets: Mapping[str, Path]) -> None:
        """Write the tables of a ``sample:`` URI as Parquet files; the same URI gives the same tables."""

    def check_contents(self, tables: Mapping[str, Path]) -> Contents:
        """Check what is in tables of the right structure: ranges, keys, sizes.

        Raises:
            DataError: a file is damaged.
        """

    def read_entries(self, tables: Mapping[str, Path]) -> "pd.DataFrame":
        """Return a row for each example that can be used, in the order of the ids, each id once.

        Its columns are ``id``, ``title`` (text that two entries of one recording share, "" for none), and the
        features as float32. The engine adds the two columns of a snapshot.
        """

    def make_examples(
        self, tables: Mapping[str, Path], entries: "pd.DataFrame", classes: Sequence[str] | None
    ) -> Examples:
        """Return an example for each of the entries that has a class, in the order of the ids.

        Args:
            tables: Parquet files of the right structure.
            entries: of `read_entries`, all or some.
            classes: the classes; rows of others are left out. None takes all that there are, sorted.

        Raises:
            DataError: none of the entries has a class.
        """


class Trained(NamedTuple):
    """The outcome of a training: a headline for people, and losses by pass, by name."""

    headline: str
    losses: Mapping[str, Sequence[float]]


class Solution(Protocol):
    """How a model is made and asked. A model is a file; what is in it is the solution's own."""

    @property
    def SUFFIX(self) -> str:  # noqa: N802
        """The suffix of the model's file.

        A ``.keras`` file becomes part of the candidate, and the judge compares the exported model with it. No
        other format is loaded by the judge: then parity with the trained model is self-reported.
        """

    @property
    def FRAMEWORK(self) -> str:  # noqa: N802
        """The name of the distribution that the model is made with, for the dashboard."""

    @property
    def Hyperparameters(self) -> type[BaseModel]:  # noqa: N802
        """The hyperparameters: frozen pydantic fields with defaults, bounds and descriptions."""

    def train(self, training: Examples, validation: Examples, hyper: Any, model: Path) -> Trained:
        """Train, and write the model's file.

        Raises:
            ValueError: the training failed; nothing is written.
        """

    def export(self, model: Path, onnx_model: Path) -> None:
        """Write the model as ONNX: `INPUT` float32 [N, F] to `OUTPUT` float32 [N, K], rows summing to one.

        A row with a number that no feature can be (NaN, infinity, beyond `LARGEST`) gets NaN for each
        probability.
        """

    def predict(self, model: Path, features: "np.ndarray") -> "np.ndarray":
        """Return the trained model's own probabilities, float32 [N, F] to float32 [N, K].

        They are the reference that the exported model is compared with, NaN included.
        """


def load_definition(name: str = "") -> Definition:
    """Return the definition of a problem by its name; raises as `ml.core.problems.load_part`."""
    return cast("Definition", load_part(name, "definition"))


def load_solution(name: str = "") -> Solution:
    """Return the solution of a problem by its name; raises as `ml.core.problems.load_part`."""
    return cast("Solution", load_part(name, "solution"))

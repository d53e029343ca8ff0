"""The profile of the examples that a model is trained on: what later examples are compared with.

It holds no example: quantiles, shares, correlations, and for some examples two short hashes, of
the id and of the features. It is written by the step `validate`, and becomes part of the candidate.
"""

import hashlib
from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import Annotated, Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from ml.core.errors import DataError
from ml.core.records import Count, Number, Record, Share, Text
from ml.gate.subjects.drift import KNOWN_EXAMPLES
from ml.problem import Examples

QUANTILES = 201
"""Quantiles kept of each feature: the distribution function to half a percent."""

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


class KnownExample(Record):
    """An example by its hash: the hash of its features, and the class of most of its rows."""

    features: Hash
    home: Text


class Profile(Record):
    """What the examples of a run are like. ``twins`` is the share that has exactly another's features."""

    schema_: Literal["jukebox.profile/v2"] = Field("jukebox.profile/v2", alias="schema")
    data_version: Text
    synthetic: bool
    examples: Annotated[int, Field(ge=1)]
    rows: Annotated[int, Field(ge=1)]
    twins: Share
    features: tuple[Text, ...]
    quantiles: dict[str, tuple[Number, ...]]
    correlations: tuple[Number, ...]
    classes: dict[str, Count]
    known: dict[Hash, KnownExample]

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        for name, values in self.quantiles.items():
            if len(values) != QUANTILES or any(low > high for low, high in pairwise(values)):
                raise ValueError(f"{name} does not have {QUANTILES} quantiles in order")
        count = len(self.features)
        if set(self.features) != set(self.quantiles):
            raise ValueError("the features are not those of the quantiles")
        if len(self.correlations) != count * (count - 1) // 2 or any(
            abs(rho) > 1.001 for rho in self.correlations
        ):
            raise ValueError(f"these are not the correlations of {count} features")
        if sum(self.classes.values()) != self.rows:
            raise ValueError("the classes' rows are not all rows")
        if len(self.known) != min(self.examples, KNOWN_EXAMPLES):
            raise ValueError("not as many examples are known as there are")
        return self


def make_profile(
    examples: Examples, features: Sequence[str], data_version: str, *, synthetic: bool
) -> Profile:
    """Make the profile of all examples of a data version.

    Args:
        examples: in the order of the ids, so that sums come out the same to the last bit.
        features: the names of their features.
        data_version: the tables' version.
        synthetic: whether they are the problem's sample.

    Raises:
        DataError: a feature is not a finite number.
    """
    values, rows = examples.features, examples.counts.sum(axis=0)
    if not np.isfinite(values).all():
        raise DataError("a feature is null or not a finite number; the data contract should refuse it")
    steps = np.linspace(0, 1, QUANTILES)
    return Profile(
        data_version=data_version,
        synthetic=synthetic,
        examples=len(values),
        rows=int(rows.sum()),
        features=tuple(features),
        twins=float(pd.DataFrame(values).duplicated(keep=False).mean()),
        quantiles={
            name: tuple(_short(value) for value in np.quantile(values[:, index].astype("float64"), steps))
            for index, name in enumerate(features)
        },
        correlations=_correlations(values),
        classes={name: int(count) for name, count in zip(examples.classes, rows, strict=True)},
        known=_known(examples),
    )


def pairs(features: Sequence[str]) -> list[tuple[str, str]]:
    """Return the pairs of features in the order of ``correlations``."""
    return list(combinations(features, 2))


def _correlations(values: np.ndarray) -> tuple[float, ...]:
    """Return Spearman's rank correlation of each pair of features; 0 where one is constant."""
    ranks = pd.DataFrame(values).rank().to_numpy()
    centred = ranks - ranks.mean(axis=0)
    scale = np.sqrt((centred**2).sum(axis=0))
    safe = np.where(scale > 0, scale, 1.0)
    matrix = (centred / safe).T @ (centred / safe)
    return tuple(_short(value) for value in matrix[np.triu_indices(values.shape[1], 1)])


def _short(value: float) -> float:
    """Round to nine digits, which tell any two float32 apart."""
    return float(f"{value:.9g}")


def _known(examples: Examples) -> dict[str, KnownExample]:
    # Of classes with as many rows the first counts.
    homes = examples.counts.argmax(axis=1)
    hashed = sorted((_hash(name.encode()), index) for index, name in enumerate(examples.ids))
    return {
        key: KnownExample(
            features=_hash(examples.features[index].tobytes()), home=examples.classes[homes[index]]
        )
        for key, index in hashed[:KNOWN_EXAMPLES]
    }


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]

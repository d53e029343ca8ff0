"""The slices of the test examples, class by class and so on: what the model gains over the prior on each.

A good average can hide one class that the model serves worse than a list of shares would. Each slice
has its own p-value, by the same bootstrap as all comparisons; the gate decides which to believe.
"""

from collections.abc import Iterator

import numpy as np

from ml.gate.nouns import Nouns
from ml.gate.resampling import Resampling
from ml.gate.subjects.slices import Slice, Slices
from ml.measure.metrics import SMALLEST
from ml.measure.resampling import RESAMPLING, Ratio, p_below
from ml.problem import Examples

FLOOR = -0.25
"""The gain over the prior (nats a row) that a slice is tested against; the policy asks for as much."""

NAMED_FROM = 10
"""A headline names no slice of fewer examples: its gain is noise."""


def measure_slices(
    probabilities: np.ndarray,
    prior: np.ndarray,
    test: Examples,
    nouns: Nouns,
    settings: Resampling = RESAMPLING,
) -> Slices:
    """Measure the gain over the prior on each slice that has test examples.

    The slices are the rows of each class, and the parts of each family that the problem's definition gives.

    Args:
        probabilities: the model's, [N, K].
        prior: the classes' shares of the training rows, [K].
        test: the test examples.
        nouns: what the family of the classes is called.
        settings: how the p-values are made.
    """
    clipped = np.maximum(probabilities.astype("float64"), SMALLEST)
    gains = test.counts * (np.log(clipped) - np.log(prior))
    slices = []
    for name, (gain, rows) in _slices(gains, test, nouns):
        present = rows > 0
        if not present.any():
            continue
        measured = p_below((gain[present], rows[present]), FLOOR, settings)
        slices.append(
            Slice(
                name=name,
                examples=int(present.sum()),
                rows=int(rows.sum()),
                gain=measured.value,
                standard_error=measured.standard_error,
                p_value=measured.p_value,
            )
        )
    return Slices(floor=FLOOR, resampling=settings, slices=tuple(slices))


def worst_slices(slices: Slices, count: int = 3) -> list[Slice]:
    """Return the slices of enough examples with the least gain, the worst first."""
    enough = [part for part in slices.slices if part.examples >= NAMED_FROM]
    return sorted(enough, key=lambda part: part.gain)[:count]


def _slices(gains: np.ndarray, test: Examples, nouns: Nouns) -> Iterator[tuple[str, Ratio]]:
    """Make each slice's name, and gain and rows by example, float64 [N]."""
    for index, name in enumerate(test.classes):
        yield f"{nouns.class_}={name}", (gains[:, index], test.counts[:, index].astype("float64"))
    gain = gains.sum(axis=1)
    for family, parts in test.slices.items():
        for part in sorted(set(parts) - {""}):
            chosen = parts == part
            yield f"{family}={part}", (np.where(chosen, gain, 0.0), np.where(chosen, test.weights, 0.0))

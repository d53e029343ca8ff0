"""Draw examples with replacement, ten thousand times over, and sum their terms: fast, seeded, in threads.

Two hundred million examples are drawn for 10,000 resamples of 20,000; counting them first, as a multinomial
draw does, would take ten times as long as adding up what they stand for.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from scipy.sparse import csr_array

T = TypeVar("T")

CHUNK = 1_000_000
"""Examples drawn at once: 4 MB of indices stay in the cache. Part of what a seed means."""


class Columns:
    """The terms to sum, each once: metrics share denominators, and sums of ones need no drawing."""

    def __init__(self) -> None:
        self._known: dict[bytes, int] = {}
        self._columns: list[np.ndarray] = []

    def add(self, column: np.ndarray) -> int | float:
        """Return the column's index, or, as a float, the sum over any resample where all terms are equal."""
        if (column == column[0]).all():
            return float(column[0] * len(column))
        key = column.tobytes()
        if key not in self._known:
            self._known[key] = len(self._columns)
            self._columns.append(column)
        return self._known[key]

    @property
    def matrix(self) -> np.ndarray:
        """All columns, float64 [N, k], row by row in memory; k may be 0."""
        return np.column_stack(self._columns) if self._columns else np.zeros((1, 0))

    @staticmethod
    def sums(drawn: np.ndarray, index: int | float) -> np.ndarray:
        """Return the resamples' sums of one column."""
        return np.full(len(drawn), index) if isinstance(index, float) else drawn[:, index]


def draw(terms: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Return the column sums of ``terms`` [N, k] over N rows drawn with replacement, [resamples, k].

    Each chunk of resamples has a seed of its own, so the threads change nothing.
    """
    examples, width = terms.shape
    sums = np.empty((resamples, width))
    if not width:
        return sums
    size = max(1, CHUNK // examples)
    starts = range(0, resamples, size)
    seeds = np.random.SeedSequence(seed).spawn(len(starts))

    def fill(chunk: tuple[int, np.random.SeedSequence]) -> None:
        start, seed = chunk
        count = min(size, resamples - start)
        drawn = np.random.Generator(np.random.SFC64(seed)).integers(
            0, examples, count * examples, dtype="int32"
        )
        sums[start : start + count] = _gather(terms, drawn, count)

    _everywhere(fill, zip(starts, seeds, strict=True))
    return sums


def _gather(terms: np.ndarray, drawn: np.ndarray, count: int) -> np.ndarray:
    """Sum the drawn rows of ``terms``, ``count`` resamples of N each, [count, k].

    As a product with a sparse matrix of ones: it adds row by row, without an array of what was drawn, and
    like the drawing it releases Python's lock.
    """
    examples = len(terms)
    ends = np.arange(0, len(drawn) + 1, examples, dtype="int32")
    often = csr_array((np.ones(len(drawn)), drawn, ends), shape=(count, examples))
    return np.asarray(often @ terms)


def _everywhere(work: Callable[[T], None], parts: Iterable[T]) -> None:
    """Run the parts of a computation on all processors."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(work, parts))

"""Compare a runtime's answers with the reference's: in every batch size, memory layout and thread.

Every row of every batch is compared: numbers, the most probable class, sums and shapes. The tolerance is
absolute and relative, since near zero a difference of 7e-7 is a relative 7e-3.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ml.gate.subjects.parity import Family, Layouts, Threads

ATOL, RTOL = 1e-5, 1e-3
BATCH_SIZES = (1, 7, 64, 10_000)
"""Batch sizes that are compared, besides all rows at once; rows are repeated to fill the largest."""

THREADS, CALLS = 4, 25
"""Threads that call at once, and the calls of each."""

MOST = 1e9
"""Stands for a difference to what is no number."""

Run = Callable[[np.ndarray], np.ndarray]


def compare_family(
    run: Run, name: str, rows: np.ndarray, reference: np.ndarray, classes: Sequence[str]
) -> Family:
    """Run one family in all batch sizes, and compare the answers with the reference's: see `compare_answers`.

    Raises:
        ValueError: as `compare_answers`.
    """
    return compare_answers(name, answer_family(run, rows), reference, classes)


def answer_family(run: Run, rows: np.ndarray) -> dict[int, np.ndarray]:
    """Return a runtime's answers to one family by batch size, each float32 [M, K].

    M is N, or `rows_answered` where there are too few rows to fill a batch.

    Args:
        run: the runtime.
        rows: raw features, float32 [N, F].
    """
    return {size: _in_batches(run, rows, size) for size in batch_sizes(len(rows))}


def batch_sizes(rows: int) -> tuple[int, ...]:
    """Return the batch sizes in which a family of so many rows is compared."""
    return tuple(dict.fromkeys((*BATCH_SIZES, rows)))


def rows_answered(size: int, rows: int) -> int:
    """Return how many rows are answered in batches of a size: whole repeats of the rows fill one batch."""
    return rows if size <= rows else -(-size // rows) * rows


def compare_answers(
    name: str, given: Mapping[int, np.ndarray], reference: np.ndarray, classes: Sequence[str]
) -> Family:
    """Compare the answers to one family with the reference's.

    Args:
        name: of the family.
        given: by batch size, as `answer_family` returns them.
        reference: the reference's answers, float32 [N, K]; rows of NaN where it gives none.
        classes: the K classes.

    Raises:
        ValueError: the runtime's answers have another shape or type.
    """
    sizes = tuple(given)
    for size, answers in given.items():
        expected_shape = (rows_answered(size, len(reference)), *reference.shape[1:])
        if answers.shape != expected_shape or answers.dtype != reference.dtype:
            theirs = f"{reference.dtype} {reference.shape}"
            raise ValueError(f"{name}, batches of {size}: {answers.dtype} {answers.shape} for {theirs}")
    answers = np.concatenate(list(given.values()))
    row = np.arange(len(answers)) % len(reference)
    expected = reference[row].astype("float64")
    finite, answered = np.isfinite(answers), np.isfinite(expected)
    tolerance = ATOL + RTOL * np.abs(np.where(answered, expected, 0))
    # NaN for NaN is as it should be; a number for NaN, or the other way round, is off by everything.
    both = finite & answered
    same = both | (np.isnan(answers) & np.isnan(expected))
    apart = np.abs(np.where(both, answers, 0) - np.where(both, expected, 0))
    difference = np.where(same, np.minimum(apart, MOST), MOST)
    ratio = np.minimum(difference / tolerance, MOST)
    worst, label = np.unravel_index(ratio.argmax(), ratio.shape)
    size = np.repeat(sizes, [len(part) for part in given.values()])[worst]
    flipped, close = _flips(answers, reference, row)
    sums = np.abs(np.where(finite, answers, 0).sum(axis=1, dtype="float64") - 1)
    return Family(
        name=name,
        rows=len(reference),
        batch_sizes=sizes,
        max_difference=float(difference.max()),
        p99_difference=float(np.quantile(difference, 0.99)),
        worst_ratio=float(ratio.max()),
        worst_row=f"row {row[worst]}, {classes[int(label)]}, batches of {size}",
        violations=int((ratio > 1).sum()),
        top1_disagreements=int((flipped & ~close).sum()),
        top1_ties=int((flipped & close).sum()),
        unanswered=int(np.isnan(reference).all(axis=1).sum()),
        nonfinite=int((~same).sum()),
        row_sum_error=float(sums[np.isfinite(reference).all(axis=1)[row]].max(initial=0)),
    )


def _flips(answers: np.ndarray, reference: np.ndarray, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return by row [N] whether any answer names another class, and whether the reference's best two tie."""
    answered = np.isfinite(reference).all(axis=1)
    best = np.where(np.isfinite(answers), answers, -1).argmax(axis=1)
    flipped = np.zeros(len(reference), dtype=bool)
    np.logical_or.at(flipped, row, best != reference.argmax(axis=1)[row])
    second, first = np.sort(np.where(answered[:, None], reference, 0), axis=1)[:, -2:].T
    return flipped & answered, first - second <= ATOL + RTOL * first


def _in_batches(run: Run, rows: np.ndarray, size: int) -> np.ndarray:
    """Return the answers in batches of a size, [M, K]; rows are repeated whole times to fill one."""
    if size > len(rows):
        size = rows_answered(size, len(rows))
        rows = np.tile(rows, (size // len(rows), 1))
    batches = [rows[start : start + size] for start in range(0, len(rows), size)]
    return np.concatenate([run(batch) for batch in batches])


def compare_layouts(run: Run, rows: np.ndarray) -> Layouts:
    """Give a runtime the same rows in memory that is not one piece in C's order."""
    wide = np.zeros((2 * len(rows), 2 * rows.shape[1]), dtype=rows.dtype)
    wide[::2, ::2] = rows
    layouts = {
        "fortran": np.asfortranarray(rows),
        "strided": wide[::2, ::2],
        "reversed": np.ascontiguousarray(rows[::-1, ::-1])[::-1, ::-1],
    }
    alone = run(rows).tobytes()
    outcomes = {}
    for name, view in layouts.items():
        outcomes[name] = "refused"
        # Each runtime has its own kinds of errors; any of them is a refusal, and a refusal is heard.
        with contextlib.suppress(Exception):
            outcomes[name] = "same" if run(view).tobytes() == alone else "different"
    return Layouts.load(outcomes)


def compare_threads(run: Run, rows: np.ndarray) -> Threads:
    """Call a runtime from several threads at once, each with other rows than its neighbours."""
    parts = [np.roll(rows, shift, axis=0) for shift in range(THREADS)]
    alone = [run(part).tobytes() for part in parts]

    def call(number: int) -> bool:
        try:
            return run(parts[number % THREADS]).tobytes() == alone[number % THREADS]
        except Exception:
            return False

    with ThreadPoolExecutor(THREADS) as pool:
        same = list(pool.map(call, range(THREADS * CALLS)))
    return Threads(threads=THREADS, calls=len(same), different=same.count(False))

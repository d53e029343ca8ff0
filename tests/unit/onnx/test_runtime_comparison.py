"""The comparison sees what a runtime does wrong, whichever batch, layout or thread it does it in."""

import threading

import numpy as np
import pytest

from ml.onnx.runtime_comparison import (
    ATOL,
    BATCH_SIZES,
    RTOL,
    THREADS,
    compare_family,
    compare_layouts,
    compare_threads,
)

ROWS = np.random.default_rng(1).normal(size=(30, 13)).astype("float32")
WEIGHTS = np.random.default_rng(2).normal(size=(13, 5)).astype("float32")
LABELS = ["AA", "BB", "CC", "DD", "EE"]


def keras(rows):
    """Stand in for Keras and for a runtime that does as it does: each row by itself."""
    scores = np.exp((rows[:, :, None] * WEIGHTS).sum(axis=1, dtype="float64"))
    return (scores / scores.sum(axis=1, keepdims=True)).astype("float32")


def compared(change=lambda rows, answers: None, rows=ROWS):
    """Compare a runtime that does as Keras but for a change."""

    def run(batch):
        answers = keras(batch)
        change(batch, answers)
        return answers

    return compare_family(run, "test", rows, keras(rows), LABELS)


def test_the_same_answers_differ_in_nothing():
    found = compared()
    assert (found.rows, found.max_difference, found.worst_ratio, found.violations) == (30, 0, 0, 0)
    assert (found.top1_disagreements, found.top1_ties, found.unanswered, found.nonfinite) == (0, 0, 0, 0)
    assert found.row_sum_error < 1e-6
    assert found.batch_sizes == (*BATCH_SIZES, 30)


@pytest.mark.parametrize("size", [*BATCH_SIZES, 30])
def test_an_error_in_one_size_of_batch_is_seen_and_named(size):
    def change(rows, answers):
        if len(rows) == (10_020 if size == 10_000 else 90 if size == 64 else size):
            answers[-1, 2] += 0.01

    found = compared(change)
    assert found.violations >= 1
    assert found.max_difference == pytest.approx(0.01, rel=1e-3)
    assert found.worst_row.endswith(f"CC, batches of {size}")


def test_the_largest_batch_is_as_large_as_it_says():
    seen = set()
    compared(lambda rows, answers: seen.add(len(rows)))
    assert max(seen) >= 10_000


def test_the_tolerance_is_the_sum_of_both_parts():
    def change(rows, answers):
        answers += 0.5 * (ATOL + RTOL * answers)

    found = compared(change)
    assert found.worst_ratio == pytest.approx(0.5, rel=0.01)
    assert found.violations == 0


def test_another_country_on_top_is_a_flip_once_for_each_row():
    def change(rows, answers):
        answers[:] = np.roll(answers, 1, axis=1)

    found = compared(change)
    assert found.top1_disagreements == 30
    assert found.top1_ties == 0


def test_a_swap_within_the_tolerance_is_a_tie_and_not_a_flip():
    answers = np.array([[0.4, 0.4 + 1e-6, 0.2], [0.4, 0.41, 0.19]], dtype="float32")

    def swapped(rows):
        return np.tile(answers[:, [1, 0, 2]], (len(rows) // 2 + 1, 1))[: len(rows)]

    def run(rows):
        return swapped(rows) if len(rows) > 1 else answers[[int(rows[0, 0])]]

    rows = np.zeros((2, 13), dtype="float32")
    rows[1, 0] = 1
    found = compare_family(run, "test", rows, answers, LABELS[:3])
    assert (found.top1_ties, found.top1_disagreements) == (1, 1)


def test_nan_for_a_number_is_counted_and_is_off_by_everything():
    def change(rows, answers):
        answers[0, 1] = np.nan

    found = compared(change)
    assert found.nonfinite >= 1
    assert found.violations >= found.nonfinite
    assert found.max_difference == 1e9


def test_nan_for_nan_is_as_it_should_be_and_a_number_for_nan_is_not():
    rows = ROWS.copy()
    rows[3, 0] = np.nan
    found = compared(rows=rows)
    assert (found.unanswered, found.nonfinite, found.violations, found.top1_disagreements) == (1, 0, 0, 0)
    assert found.row_sum_error < 1e-6

    def made_up(batch, answers):
        answers[np.isnan(answers)] = 0.2

    found = compared(made_up, rows)
    assert found.nonfinite >= 5
    assert found.violations >= 5


def test_infinity_for_nan_is_not_the_same():
    rows = ROWS.copy()
    rows[3, 0] = np.nan

    def change(batch, answers):
        answers[np.isnan(answers)] = np.inf

    assert compared(change, rows).nonfinite >= 5


def test_answers_to_fewer_rows_are_refused():
    with pytest.raises(ValueError, match="batches of 1"):
        compare_family(lambda rows: keras(rows)[:, :4], "test", ROWS, keras(ROWS), LABELS)
    with pytest.raises(ValueError, match="batches of 1"):
        compare_family(lambda rows: keras(rows).astype("float64"), "test", ROWS, keras(ROWS), LABELS)
    with pytest.raises(ValueError, match="batches of 7"):
        drop = lambda rows: keras(rows)[:-1] if len(rows) == 7 else keras(rows)  # noqa: E731
        compare_family(drop, "test", ROWS, keras(ROWS), LABELS)


def refuse(rows):
    if not rows.flags.c_contiguous:
        raise TypeError("not in one piece")
    return keras(rows)


def as_if_in_one_piece(rows):
    """Read memory from its beginning as it lies, like C code that never asks."""
    memory = rows if rows.base is None else rows.base
    return keras(memory.ravel(order="K")[: rows.size].reshape(rows.shape))


@pytest.mark.parametrize(
    ("run", "outcomes"),
    [
        (keras, ("same", "same", "same")),
        (refuse, ("refused", "refused", "refused")),
        (as_if_in_one_piece, ("different", "different", "different")),
    ],
)
def test_memory_that_is_not_one_piece_is_read_right_or_refused_or_found_out(run, outcomes):
    found = compare_layouts(run, ROWS)
    assert (found.fortran, found.strided, found.reversed) == outcomes


def test_threads_that_get_their_own_answers_are_the_same_as_alone():
    found = compare_threads(keras, ROWS)
    assert (found.threads, found.different) == (THREADS, 0)
    assert found.calls >= 100


def test_threads_that_write_into_each_others_buffer_are_found_out():
    buffer = np.empty((30, 5), dtype="float32")
    together = threading.Barrier(THREADS)
    alone = [THREADS]

    def run(rows):
        buffer[:] = keras(rows)
        if alone[0]:
            alone[0] -= 1
            return buffer.copy()
        together.wait(timeout=5)
        return buffer.copy()

    assert compare_threads(run, ROWS).different > 0


def test_an_error_in_a_thread_counts_as_another_answer():
    def run(rows):
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("the request is busy")
        return keras(rows)

    found = compare_threads(run, ROWS)
    assert found.different == found.calls

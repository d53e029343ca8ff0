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
CLASSES = ["AA", "BB", "CC", "DD", "EE"]
ONE_NAN = ROWS.copy()
ONE_NAN[3, 0] = np.nan


def trained(rows):
    """Stand in for the trained model and for a runtime that does as it does: each row by itself."""
    scores = np.exp((rows[:, :, None] * WEIGHTS).sum(axis=1, dtype="float64"))
    return (scores / scores.sum(axis=1, keepdims=True)).astype("float32")


def compared(change=lambda rows, answers: answers, rows=ROWS):
    """Compare a runtime that does as the trained model but for a change."""
    return compare_family(lambda batch: change(batch, trained(batch)), "test", rows, trained(rows), CLASSES)


@pytest.mark.parametrize(("rows", "unanswered"), [(ROWS, 0), (ONE_NAN, 1)], ids=["numbers", "NaN for NaN"])
def test_the_same_answers_differ_in_nothing(rows, unanswered):
    seen = set()

    def run(batch, answers):
        seen.add(len(batch))
        return answers

    found = compared(run, rows)
    assert (found.rows, found.max_difference, found.worst_ratio, found.violations) == (30, 0, 0, 0)
    assert (found.top1_disagreements, found.top1_ties, found.nonfinite) == (0, 0, 0)
    assert found.unanswered == unanswered
    assert found.row_sum_error < 1e-6
    assert found.batch_sizes == (*BATCH_SIZES, 30)
    assert max(seen) >= 10_000


@pytest.mark.parametrize("size", [*BATCH_SIZES, 30])
def test_an_error_in_one_size_of_batch_is_seen_and_named(size):
    def change(batch, answers):
        if len(batch) == {64: 90, 10_000: 10_020}.get(size, size):
            answers[-1, 2] += 0.01
        return answers

    found = compared(change)
    assert found.violations >= 1
    assert found.max_difference == pytest.approx(0.01, rel=1e-3)
    assert found.row_sum_error == pytest.approx(0.01, rel=1e-3)
    assert found.worst_row.endswith(f"CC, batches of {size}")


@pytest.mark.parametrize("share", [0.5, 1.5])
def test_the_tolerance_is_the_sum_of_both_parts(share):
    found = compared(
        lambda _, answers: answers + np.float32(share) * (ATOL + RTOL * answers).astype("float32")
    )
    assert found.worst_ratio == pytest.approx(share, rel=0.02)
    assert (found.violations > 0) == (share > 1)


def test_another_class_on_top_is_a_flip_once_for_each_row():
    found = compared(lambda _, answers: np.roll(answers, 1, axis=1))
    assert (found.top1_disagreements, found.top1_ties) == (30, 0)


def test_a_swap_within_the_tolerance_is_a_tie_and_not_a_flip():
    answers = np.array([[0.4, 0.4 + 1e-6, 0.2], [0.4, 0.41, 0.19]], dtype="float32")
    rows = np.array([[0], [1]], dtype="float32")

    def run(batch):
        chosen = answers[batch[:, 0].astype(int)]
        return chosen[:, [1, 0, 2]] if len(batch) > 1 else chosen

    found = compare_family(run, "test", rows, answers, CLASSES[:3])
    assert (found.top1_ties, found.top1_disagreements) == (1, 1)


@pytest.mark.parametrize(
    ("rows", "where", "value"),
    [(ROWS, (0, 1), np.nan), (ROWS, (0, 1), np.inf), (ONE_NAN, None, 0.2), (ONE_NAN, None, np.inf)],
    ids=["NaN for a number", "infinity for a number", "a number for NaN", "infinity for NaN"],
)
def test_nan_for_a_number_or_the_other_way_round_is_off_by_everything(rows, where, value):
    def change(batch, answers):
        answers[np.isnan(answers) if where is None else where] = value
        return answers

    found = compared(change, rows)
    assert found.violations == found.nonfinite >= 5
    assert found.max_difference == 1e9


@pytest.mark.parametrize(
    ("change", "size"),
    [
        (lambda _, answers: answers[:, :4], 1),
        (lambda _, answers: answers.astype("float64"), 1),
        (lambda batch, answers: answers[:-1] if len(batch) == 7 else answers, 7),
    ],
)
def test_answers_of_another_shape_or_type_are_refused(change, size):
    with pytest.raises(ValueError, match=f"^test, batches of {size}: float"):
        compared(change)


def refuse(rows):
    if not rows.flags.c_contiguous:
        raise TypeError("not in one piece")
    return trained(rows)


def as_if_in_one_piece(rows):
    """Read memory from its beginning as it lies, like C code that never asks."""
    memory = rows if rows.base is None else rows.base
    return trained(memory.ravel(order="K")[: rows.size].reshape(rows.shape))


@pytest.mark.parametrize(
    ("run", "outcome"), [(trained, "same"), (refuse, "refused"), (as_if_in_one_piece, "different")]
)
def test_memory_that_is_not_one_piece_is_read_right_or_refused_or_noticed(run, outcome):
    found = compare_layouts(run, ROWS)
    assert (found.fortran, found.strided, found.reversed) == (outcome, outcome, outcome)


def test_threads_that_get_their_own_answers_are_the_same_as_alone():
    found = compare_threads(trained, ROWS)
    assert (found.threads, found.different) == (THREADS, 0)
    assert found.calls >= 100


def test_threads_that_write_into_each_others_buffer_are_noticed():
    buffer = np.empty((30, 5), dtype="float32")
    together = threading.Barrier(THREADS)
    alone = [THREADS]

    def run(rows):
        buffer[:] = trained(rows)
        if alone[0]:
            alone[0] -= 1
        else:
            together.wait(timeout=5)
        return buffer.copy()

    assert compare_threads(run, ROWS).different > 0


def test_an_error_in_a_thread_counts_as_another_answer():
    def run(rows):
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("the request is busy")
        return trained(rows)

    found = compare_threads(run, ROWS)
    assert found.different == found.calls

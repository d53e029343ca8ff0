"""The comparison sees what a runtime does wrong, whichever batch, layout or thread it does it in."""

import threading

import numpy as np
import pytest
from onnx_models import softmax

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
    return softmax((rows[:, :, None] * WEIGHTS).sum(axis=1, dtype="float64")).astype("float32")


def compared(change=lambda rows, answers: answers, rows=ROWS):
    """Compare a runtime that does as the trained model but for a change."""
    return compare_family(lambda batch: change(batch, trained(batch)), "test", rows, trained(rows), CLASSES)


@pytest.mark.parametrize(("rows", "unanswered"), [(ROWS, 0), (ONE_NAN, 1)], ids=["numbers", "NaN for NaN"])
def test_the_same_answers_differ_in_nothing(rows, unanswered):
    family = compared(rows=rows)
    assert (family.rows, family.max_difference, family.worst_ratio, family.violations) == (30, 0, 0, 0)
    assert (family.top1_disagreements, family.top1_ties, family.nonfinite) == (0, 0, 0)
    assert (family.unanswered, family.batch_sizes) == (unanswered, (*BATCH_SIZES, 30))
    assert family.row_sum_error < 1e-6


@pytest.mark.parametrize("size", [*BATCH_SIZES, 30])
def test_an_error_in_one_size_of_batch_is_seen_and_named(size):
    def change(batch, answers):
        if len(batch) == {64: 90, 10_000: 10_020}.get(size, size):
            answers[-1, 2] += 0.01
        return answers

    family = compared(change)
    assert family.violations >= 1
    assert family.max_difference == pytest.approx(0.01, rel=1e-3)
    assert family.row_sum_error == pytest.approx(0.01, rel=1e-3)
    assert family.worst_row.endswith(f"CC, batches of {size}")


@pytest.mark.parametrize("share", [0.5, 1.5])
def test_the_tolerance_is_the_sum_of_both_parts(share):
    family = compared(lambda _, answers: (answers + share * (ATOL + RTOL * answers)).astype("float32"))
    assert family.worst_ratio == pytest.approx(share, rel=0.02)
    assert (family.violations > 0) == (share > 1)


def test_another_class_on_top_is_a_flip_once_for_each_row_but_within_the_tolerance_a_tie():
    answers = np.array([[0.4, 0.4 + 1e-6, 0.2], [0.4, 0.41, 0.19]], dtype="float32")

    def run(batch):
        chosen = answers[batch[:, 0].astype(int)]
        return chosen[:, [1, 0, 2]] if len(batch) > 1 else chosen

    family = compare_family(run, "test", np.array([[0], [1]], dtype="float32"), answers, CLASSES[:3])
    assert (family.top1_ties, family.top1_disagreements) == (1, 1)


@pytest.mark.parametrize(
    ("rows", "where", "value"),
    [(ROWS, (0, 1), np.nan), (ROWS, (0, 1), np.inf), (ONE_NAN, None, 0.2), (ONE_NAN, None, np.inf)],
    ids=["NaN for a number", "infinity for a number", "a number for NaN", "infinity for NaN"],
)
def test_nan_for_a_number_or_the_other_way_round_is_off_by_everything(rows, where, value):
    def change(batch, answers):
        answers[np.isnan(answers) if where is None else where] = value
        return answers

    family = compared(change, rows)
    assert family.violations == family.nonfinite >= 5
    assert family.max_difference == 1e9


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
    assert {*compare_layouts(run, ROWS).to_json().values()} == {outcome}


def test_threads_that_write_into_each_others_buffer_are_noticed_and_an_error_counts_as_another_answer():
    buffer = np.empty((30, 5), dtype="float32")
    together = threading.Barrier(THREADS)

    def shared(rows):
        buffer[:] = trained(rows)
        if threading.current_thread() is not threading.main_thread():
            together.wait(timeout=5)
        return buffer.copy()

    def busy(rows):
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("the request is busy")
        return trained(rows)

    right, wrong = compare_threads(trained, ROWS), compare_threads(busy, ROWS)
    assert (right.threads, right.calls, right.different) == (THREADS, 100, 0)
    assert wrong.different == wrong.calls
    assert compare_threads(shared, ROWS).different > 0

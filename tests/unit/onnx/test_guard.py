"""Nonsense gets NaN, and what is out of range is clipped: in the exported model as in the trained one."""

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import helper
from onnx_models import softmax, write_model

from ml.onnx.guard import guard_model, guarded
from ml.onnx.inputs import input_families
from ml.problem import LARGEST

WEIGHTS = np.random.default_rng(3).normal(size=(3, 4)).astype("float32")
LOW, HIGH = np.array([-1, 0, 2], "float32"), np.array([1, 5, 2], "float32")
INSIDE = np.random.default_rng(4).uniform(LOW, HIGH, size=(20, 3)).astype("float32")
NEXT = np.nextafter(np.float32(LARGEST), np.float32(np.inf))
NONSENSE = [np.nan, np.inf, -np.inf, NEXT, -NEXT, 3.4e38]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a guarded model in onnxruntime; unguarded it has two outputs, and reads its input twice."""
    nodes = [
        helper.make_node("MatMul", ["features", "weights"], ["one"]),
        helper.make_node("MatMul", ["features", "weights"], ["two"]),
        helper.make_node("Max", ["one", "two"], ["logits"]),
        helper.make_node("ArgMax", ["logits"], ["best"], axis=1),
        helper.make_node("Cast", ["best"], ["label"], to=1),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    path = tmp_path_factory.mktemp("guard") / "model.onnx"
    write_model(path, WEIGHTS, {}, nodes, outputs=("label", "probabilities"))
    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    guarded_model = guard_model(model, LOW.astype("float64"), HIGH)
    session = onnxruntime.InferenceSession(guarded_model.SerializeToString())
    assert [entry.name for entry in session.get_outputs()] == ["probabilities"]
    assert [(entry.name, entry.type) for entry in session.get_inputs()] == [("features", "tensor(float)")]
    return lambda rows: session.run(None, {"features": rows})[0]


def trained(rows):
    """Answer as the trained model does; it must never see nonsense."""
    assert rows.dtype == np.float32
    assert ((rows >= LOW) & (rows <= HIGH)).all()
    return softmax(rows @ WEIGHTS)


def test_rows_within_the_range_are_answered_as_without_the_guard(run):
    assert run(INSIDE) == pytest.approx(trained(INSIDE), abs=1e-6)
    assert guarded(trained, INSIDE, LOW, HIGH) == pytest.approx(trained(INSIDE), abs=1e-6)


@pytest.mark.parametrize("value", NONSENSE)
def test_a_row_with_nonsense_gets_nan_and_its_neighbours_their_answers(run, value):
    rows = INSIDE[:5].copy()
    rows[[1, 3], [0, 2]] = value
    for answers in (run(rows), guarded(trained, rows, LOW, HIGH)):
        assert answers.dtype == np.float32
        assert np.isnan(answers[[1, 3]]).all()
        assert answers[[0, 2, 4]] == pytest.approx(trained(rows[[0, 2, 4]]), abs=1e-6)


@pytest.mark.parametrize("beyond", [0.5, 1e6, LARGEST])
def test_a_value_beyond_the_range_counts_as_the_nearest_that_was_seen(run, beyond):
    rows = np.vstack([np.full(3, -beyond), np.full(3, 5 + beyond)]).astype("float32")
    rows = np.clip(rows, -LARGEST, LARGEST).astype("float32")
    expected = trained(np.vstack([np.clip(rows[0], LOW, HIGH), HIGH]))
    assert run(rows) == pytest.approx(expected, abs=1e-6)
    assert guarded(trained, rows, LOW, HIGH) == pytest.approx(expected, abs=1e-6)


ANY = hnp.arrays(np.float32, st.tuples(st.integers(1, 9), st.just(3)), elements=st.floats(width=32))


@given(rows=ANY)
def test_both_make_the_same_of_any_row(run, rows):
    answers = run(rows)
    assert np.allclose(answers, guarded(trained, rows, LOW, HIGH), atol=1e-6, equal_nan=True)
    assert np.isnan(answers).any(axis=1).tolist() == (~(np.abs(rows) <= LARGEST).all(axis=1)).tolist()


def test_both_make_the_same_of_every_family(run):
    for rows in input_families(INSIDE).values():
        assert np.allclose(run(rows), guarded(trained, rows, LOW, HIGH), atol=1e-6, equal_nan=True)

"""Nonsense gets NaN, what is out of range is clipped, and the families of inputs hold such rows."""

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import helper
from onnx_models import softmax, write_model
from policies import default_policy

from ml.onnx.guard import guard_model, guarded
from ml.onnx.inputs import HUGE, NOTHING, TINY, UNANSWERED, input_families
from ml.problem import LARGEST

WEIGHTS = np.random.default_rng(3).normal(size=(3, 4)).astype("float32")
LOW, HIGH = np.array([-1, 0, 2], "float32"), np.array([1, 5, 2], "float32")
NEXT = np.nextafter(np.float32(LARGEST), np.float32(np.inf))


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
    model = guard_model(onnx.shape_inference.infer_shapes(onnx.load(path)), LOW.astype("float64"), HIGH)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    assert [entry.name for entry in session.get_outputs()] == ["probabilities"]
    assert [(entry.name, entry.type) for entry in session.get_inputs()] == [("features", "tensor(float)")]
    return lambda rows: session.run(None, {"features": rows})[0]


def trained(rows):
    """Answer as the trained model does; it must never see nonsense."""
    assert rows.dtype == np.float32
    assert ((rows >= LOW) & (rows <= HIGH)).all()
    return softmax(rows @ WEIGHTS)


def row(*values):
    return np.array([values, [0.5, 2, 2]], "float32")


@given(hnp.arrays(np.float32, st.tuples(st.integers(1, 9), st.just(3)), elements=st.floats(width=32)))
@example(row(-0.5, 1, 2))
@example(row(-LARGEST, 1e6, 2))
@example(row(0, NEXT, 2))
@example(row(0, 1, -np.inf))
@example(row(np.nan, 1, 2))
def test_a_row_with_nonsense_gets_nan_and_others_the_answer_to_the_nearest_that_was_seen(run, rows):
    sound = (np.abs(rows) <= LARGEST).all(axis=1)
    for answers in (run(rows), guarded(trained, rows, LOW, HIGH)):
        assert answers.dtype == np.float32
        assert np.isnan(answers[~sound]).all()
        assert answers[sound] == pytest.approx(trained(np.clip(rows[sound], LOW, HIGH)), abs=1e-6)


FEATURES = np.random.default_rng(0).normal(size=(50, 5)).astype("float32")
FAMILIES = input_families(FEATURES)


def test_families_hold_the_edges_of_each_feature_and_the_policy_asks_for_each():
    assert sorted(default_policy().parity.required_families) == sorted(FAMILIES)
    assert default_policy().parity.unanswered_families == UNANSWERED
    assert all(rows.dtype == np.float32 and rows.shape[1:] == (5,) for rows in FAMILIES.values())
    assert 0 < min(TINY) < np.finfo("float32").tiny < max(HUGE) < LARGEST < min(NOTHING[1:])
    assert (FAMILIES["test"] is FEATURES, FAMILIES["zeros"].tolist()) == (True, [[0.0] * 5])
    low, high = FEATURES.min(axis=0), FEATURES.max(axis=0)
    for name, beyond in (("extremes", 0), ("out_of_range", 0.1)):
        rows = FAMILIES[name]
        assert len(rows) == 10
        assert rows.min(axis=0) == pytest.approx(low - beyond * (high - low))
        assert rows.max(axis=0) == pytest.approx(high + beyond * (high - low))


@pytest.mark.parametrize(("name", "values"), [("denormals", TINY), ("huge", HUGE), ("nonfinite", NOTHING)])
def test_each_value_stands_in_each_feature_alone_and_in_all(name, values):
    rows = FAMILIES[name]
    middle = np.median(FEATURES, axis=0).astype("float32")
    for value in [sign * value for value in values for sign in (1, -1)]:
        there = (rows == np.float32(value)) | (np.isnan(rows) & np.isnan(value))
        assert there.all(axis=1).any()
        alone = there & (np.where(np.isnan(rows), 0, rows) != middle)
        assert alone[alone.sum(axis=1) == 1].any(axis=0).all()

"""The runtimes: what they are set up as, what they make of nonsense, and that they tell nobody."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx_models import write_model

from ml.core.files import read_json
from ml.gate.served import Served
from ml.onnx.inputs import input_families
from ml.onnx.runtime_comparison import ATOL, RTOL, compare_family
from ml.onnx.runtimes import AS_SERVED, open_runtimes
from ml.problems.songs.network import FARTHEST, LARGEST

EXACT = ("served", "onnxruntime")
CPU = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
HAS_BFLOAT16 = "avx512_bf16" in CPU or "amx_bf16" in CPU

PLAIN = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 20), st.just(13)),
    elements=st.floats(-1, 1, width=32)
    | st.floats(-500, 500, width=32)
    | st.floats(-(2**49), 2**49, width=32),
)
"""Rows of numbers that the network answers."""

ANY = hnp.arrays(np.float32, st.tuples(st.integers(1, 20), st.just(13)), elements=st.floats(width=32))
"""Rows of anything that float32 can hold."""

often = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def close(found, keras):
    """Tell whether answers are within the tolerance of Keras's, NaN standing for NaN only."""
    return np.allclose(found, keras, rtol=RTOL, atol=ATOL, equal_nan=True)


def test_each_runtime_says_what_it_is(made):
    found = {
        name: (runtime.engine, runtime.settings, runtime.precision) for name, runtime in made.runtimes.items()
    }
    itself = found["openvino"][2]
    assert found == {
        "served": ("openvino", {"INFERENCE_PRECISION_HINT": "f32"}, "float32"),
        "onnxruntime": ("onnxruntime", {}, "float32"),
        "openvino": ("openvino", {}, itself),
    }
    assert itself == ("bfloat16" if HAS_BFLOAT16 else "float32")
    assert all(runtime.version[0].isdigit() for runtime in made.runtimes.values())


def test_openvino_reads_the_file_as_onnx_whatever_it_looks_like(tmp_path):
    """`read_model` would take the text below for the model, which answers with 13 numbers, not 4."""
    weights = np.random.default_rng(5).normal(size=(13, 4)).astype("float32")
    path = write_model(tmp_path / "model.onnx", weights, {})
    model = onnx.load(path)
    model.producer_name = OTHER_MODEL
    opened = {runtime.name: runtime for runtime in open_runtimes(model.SerializeToString(), AS_SERVED)}
    rows = np.ones((2, 13), "float32")
    assert close(opened["served"].run(rows), opened["onnxruntime"].run(rows))
    assert opened["openvino"].run(rows).shape == (2, 4)


OTHER_MODEL = """
<net name="other" version="11"><layers>
<layer id="0" name="features" type="Parameter" version="opset1">
<data shape="?,13" element_type="f32"/><output><port id="0" precision="FP32" names="features">
<dim>-1</dim><dim>13</dim></port></output></layer>
<layer id="1" name="probabilities" type="Softmax" version="opset8"><data axis="1"/>
<input><port id="0"><dim>-1</dim><dim>13</dim></port></input>
<output><port id="1" precision="FP32" names="probabilities">
<dim>-1</dim><dim>13</dim></port></output></layer>
<layer id="2" name="r" type="Result" version="opset1">
<input><port id="0"><dim>-1</dim><dim>13</dim></port></input></layer>
</layers><edges><edge from-layer="0" from-port="0" to-layer="1" to-port="0"/>
<edge from-layer="1" from-port="1" to-layer="2" to-port="0"/></edges></net>"""


def test_the_conversion_writes_how_the_model_is_served(made):
    assert Served.load(read_json(made.folder / "served.json")) == AS_SERVED
    assert AS_SERVED.settings == {"INFERENCE_PRECISION_HINT": "f32"}


def test_a_model_may_be_served_by_onnxruntime_but_with_no_settings(made):
    data = (made.folder / "model.onnx").read_bytes()
    served = open_runtimes(data, Served(runtime="onnxruntime", settings={}))[0]
    assert (served.name, served.engine) == ("served", "onnxruntime")
    with pytest.raises(ValueError, match="INFERENCE_PRECISION_HINT"):
        open_runtimes(data, Served(runtime="onnxruntime", settings=AS_SERVED.settings))


def test_a_setting_that_openvino_does_not_know_is_refused(made):
    data = (made.folder / "model.onnx").read_bytes()
    with pytest.raises(RuntimeError):
        open_runtimes(data, Served(runtime="openvino", settings={"INFERENCE_PRECISION": "f32"}))


@pytest.mark.parametrize("name", EXACT)
@often
@given(rows=PLAIN)
def test_any_plain_row_gets_keras_answer(made, name, rows):
    assert close(made.runtimes[name].run(rows), made.keras(rows))


@pytest.mark.parametrize("name", EXACT)
@often
@given(rows=ANY)
def test_any_row_gets_probabilities_or_nan_and_keras_the_same(made, name, rows):
    found, keras = made.runtimes[name].run(rows), made.keras(rows)
    sound = (np.abs(rows) <= LARGEST).all(axis=1)
    assert np.isnan(found[~sound]).all()
    assert np.isfinite(found[sound]).all()
    assert np.allclose(found[sound].sum(axis=1, dtype="float64"), 1, atol=1e-5)
    assert close(found, keras)


@pytest.mark.parametrize("name", EXACT)
@often
@given(rows=PLAIN, seed=st.integers(0, 2**32 - 1))
def test_the_order_of_a_batch_does_not_change_its_answers(made, name, rows, seed):
    order = np.random.default_rng(seed).permutation(len(rows))
    run = made.runtimes[name].run
    assert close(run(rows[order]), run(rows)[order])


@pytest.mark.parametrize("name", EXACT)
def test_nonsense_in_one_row_leaves_its_neighbours_alone(made, name):
    rows = made.features[:9].copy()
    rows[[2, 5], 4] = np.nan, np.inf
    found = made.runtimes[name].run(rows)
    assert np.isnan(found[[2, 5]]).all()
    rest = [0, 1, 3, 4, 6, 7, 8]
    assert close(found[rest], made.keras(made.features[rest]))


@pytest.mark.parametrize("name", EXACT)
def test_what_is_farther_than_any_song_counts_as_the_farthest(made, name):
    far = made.features.mean(axis=0) + 1.01 * FARTHEST * made.features.std(axis=0)
    farther = np.full((1, 13), 1e9, dtype="float32")
    assert close(made.runtimes[name].run(farther), made.keras(far[None].astype("float32")))


@pytest.mark.parametrize("name", EXACT)
def test_the_largest_value_is_answered_and_the_next_one_is_not(made, name):
    largest = np.float32(LARGEST)
    rows = made.features[:2].copy()
    rows[:, 3] = largest, np.nextafter(largest, np.float32(np.inf))
    assert np.isnan(made.runtimes[name].run(rows)).all(axis=1).tolist() == [False, True]


@pytest.mark.skipif(not HAS_BFLOAT16, reason="OpenVINO picks bfloat16 only on a CPU that has it")
def test_where_openvino_picks_bfloat16_the_setting_of_the_candidate_is_what_prevents_it(made):
    """By itself it answers otherwise than Keras, and the gate would block it; as served it does not."""
    rows = input_families(made.features)["test"]
    labels = [str(index) for index in range(72)]
    itself = compare_family(made.runtimes["openvino"].run, "test", rows, made.keras(rows), labels)
    served = compare_family(made.runtimes["served"].run, "test", rows, made.keras(rows), labels)
    assert itself.worst_ratio > 5
    assert (served.violations, served.top1_disagreements, served.nonfinite) == (0, 0, 0)
    assert served.worst_ratio < 0.1


def test_loading_openvino_connects_to_nobody(made, tmp_path):
    """Its package for that is there for developers: it would report each import to its maker."""
    script = f"""
import socket, sys
def refused(*arguments, **named):
    print("TOLD", arguments, file=sys.stderr)
    raise OSError("no network")
for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, refused)
socket.getaddrinfo = refused
from ml.onnx.runtimes import AS_SERVED, open_runtimes
data = open({str(made.folder / "model.onnx")!r}, "rb").read()
for runtime in open_runtimes(data, AS_SERVED):
    print(runtime.name)
assert "openvino_telemetry" not in sys.modules
"""
    (tmp_path / "openvino_telemetry.py").write_text("raise SystemExit('TOLD')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{script}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["served", "onnxruntime", "openvino"], done.stderr
    assert "TOLD" not in done.stderr

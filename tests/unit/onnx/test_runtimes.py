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
from made_model import FARTHEST
from onnx_models import write_model

from ml.gate.served import Served
from ml.onnx.runtime_comparison import ATOL, RTOL
from ml.onnx.runtimes import AS_SERVED, open_runtimes
from ml.problem import LARGEST

EXACT = pytest.mark.parametrize("name", ["served", "onnxruntime"])
CPU = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
HAS_BFLOAT16 = "avx512_bf16" in CPU or "amx_bf16" in CPU

ANY = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 20), st.just(6)),
    elements=st.floats(-1, 1, width=32) | st.floats(-(2**49), 2**49, width=32) | st.floats(width=32),
)
"""Rows of anything that float32 can hold, most of them of numbers that the network answers."""


def close(found, keras):
    """Tell whether answers are within the tolerance of Keras's, NaN standing for NaN only."""
    return np.allclose(found, keras, rtol=RTOL, atol=ATOL, equal_nan=True)


def test_each_runtime_says_what_it_is(made):
    found = {name: (one.engine, one.settings, one.precision) for name, one in made.runtimes.items()}
    assert found == {
        "served": ("openvino", {"INFERENCE_PRECISION_HINT": "f32"}, "float32"),
        "onnxruntime": ("onnxruntime", {}, "float32"),
        "openvino": ("openvino", {}, "bfloat16" if HAS_BFLOAT16 else "float32"),
    }
    assert all(runtime.version[0].isdigit() for runtime in made.runtimes.values())


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


def test_openvino_reads_the_file_as_onnx_whatever_it_looks_like(tmp_path):
    """`read_model` would take the text above for the model, which answers with 13 numbers, not 4."""
    weights = np.random.default_rng(5).normal(size=(13, 4)).astype("float32")
    model = onnx.load(write_model(tmp_path / "model.onnx", weights, {}))
    model.producer_name = OTHER_MODEL
    served, onnxruntime, openvino = open_runtimes(model.SerializeToString(), AS_SERVED)
    rows = np.ones((2, 13), "float32")
    assert close(served.run(rows), onnxruntime.run(rows))
    assert openvino.run(rows).shape == (2, 4)


def test_a_model_may_be_served_by_onnxruntime_but_with_no_settings(made):
    data = (made.folder / "model.onnx").read_bytes()
    served = open_runtimes(data, Served(runtime="onnxruntime", settings={}))[0]
    assert (served.name, served.engine) == ("served", "onnxruntime")
    with pytest.raises(ValueError, match="INFERENCE_PRECISION_HINT"):
        open_runtimes(data, Served(runtime="onnxruntime", settings=AS_SERVED.settings))
    with pytest.raises(RuntimeError):
        open_runtimes(data, Served(runtime="openvino", settings={"INFERENCE_PRECISION": "f32"}))


@EXACT
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(rows=ANY, seed=st.integers(0, 2**32 - 1))
def test_any_row_gets_keras_probabilities_or_nan_whatever_the_order(made, name, rows, seed):
    run = made.runtimes[name].run
    found = run(rows)
    sound = (np.abs(rows) <= LARGEST).all(axis=1)
    assert np.isnan(found[~sound]).all()
    assert np.allclose(found[sound].sum(axis=1, dtype="float64"), 1, atol=1e-5)
    assert close(found, made.keras(rows))
    order = np.random.default_rng(seed).permutation(len(rows))
    assert close(run(rows[order]), found[order])


@EXACT
def test_the_largest_value_is_answered_as_the_farthest_and_the_next_one_is_not(made, name):
    largest = np.float32(LARGEST)
    rows = np.full((2, 6), largest)
    rows[1, 3] = np.nextafter(largest, np.float32(np.inf))
    far = made.features.mean(axis=0) + 1.01 * FARTHEST * made.features.std(axis=0)
    found = made.runtimes[name].run(rows)
    assert close(found[:1], made.keras(far[None].astype("float32")))
    assert np.isnan(found[1]).all()


def test_loading_openvino_connects_to_nobody(made, tmp_path):
    """Its package for that is there for developers: it would report each import to its maker."""
    script = f"""
import socket, sys
sys.path.insert(0, {str(tmp_path)!r})
def refused(*arguments, **named):
    print("TOLD", arguments, file=sys.stderr)
    raise OSError("no network")
for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, refused)
socket.getaddrinfo = refused
from ml.onnx.runtimes import AS_SERVED, open_runtimes
data = open({str(made.folder / "model.onnx")!r}, "rb").read()
print(*[runtime.name for runtime in open_runtimes(data, AS_SERVED)])
assert "openvino_telemetry" not in sys.modules
"""
    (tmp_path / "openvino_telemetry.py").write_text("raise SystemExit('TOLD')")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["served", "onnxruntime", "openvino"], done.stderr
    assert "TOLD" not in done.stderr

"""The runtimes: what they are set up as, what they make of nonsense, and that they tell nobody."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ml.gate.served import Served
from ml.onnx.runtime_comparison import ATOL, RTOL
from ml.onnx.runtimes import AS_SERVED, open_runtimes
from ml.problem import LARGEST

CPU = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
HAS_BFLOAT16 = "avx512_bf16" in CPU or "amx_bf16" in CPU
ELEMENTS = st.floats(-1, 1, width=32) | st.floats(-(2**49), 2**49, width=32) | st.floats(width=32)
EDGE = np.full((2, 6), np.float32(LARGEST))
EDGE[1, 3] = np.nextafter(np.float32(LARGEST), np.float32(np.inf))


def close(answers, expected):
    return np.allclose(answers, expected, rtol=RTOL, atol=ATOL, equal_nan=True)


def test_each_runtime_says_what_it_is(made):
    told = {name: (one.engine, one.settings, one.precision) for name, one in made.runtimes.items()}
    assert told == {
        "served": ("openvino", {"INFERENCE_PRECISION_HINT": "f32"}, "float32"),
        "onnxruntime": ("onnxruntime", {}, "float32"),
        "openvino": ("openvino", {}, "bfloat16" if HAS_BFLOAT16 else "float32"),
    }
    assert all(runtime.version[0].isdigit() for runtime in made.runtimes.values())


def test_openvino_reads_the_file_as_onnx_whatever_it_looks_like(made):
    """`read_model` would take it for OpenVINO's own format."""
    model = onnx.load(made.folder / "model.onnx")
    model.producer_name = '<net name="other" version="11"><layers></layers><edges></edges></net>'
    for runtime in open_runtimes(model.SerializeToString(), AS_SERVED)[:2]:
        assert close(runtime.run(made.features), made.keras(made.features))


def test_a_model_may_be_served_by_onnxruntime_but_with_no_settings(made):
    data = (made.folder / "model.onnx").read_bytes()
    served = open_runtimes(data, Served(runtime="onnxruntime", settings={}))[0]
    assert (served.name, served.engine) == ("served", "onnxruntime")
    with pytest.raises(ValueError, match="INFERENCE_PRECISION_HINT"):
        open_runtimes(data, Served(runtime="onnxruntime", settings=AS_SERVED.settings))
    with pytest.raises(RuntimeError):
        open_runtimes(data, Served(runtime="openvino", settings={"INFERENCE_PRECISION": "f32"}))


@pytest.mark.parametrize("name", ["served", "onnxruntime"])
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(rows=hnp.arrays(np.float32, st.tuples(st.integers(1, 20), st.just(6)), elements=ELEMENTS))
@example(rows=EDGE)
def test_any_row_gets_keras_probabilities_or_nan_whatever_the_order(made, name, rows):
    run = made.runtimes[name].run
    answers = run(rows)
    sound = (np.abs(rows) <= LARGEST).all(axis=1)
    assert np.isnan(answers[~sound]).all()
    assert np.allclose(answers[sound].sum(axis=1, dtype="float64"), 1, atol=1e-5)
    assert close(answers, made.keras(rows))
    assert close(run(rows[::-1]), answers[::-1])


def test_loading_openvino_reports_to_nobody(made, tmp_path):
    """Its package for that is there for developers: it would report each import to its maker."""
    (tmp_path / "openvino_telemetry.py").write_text("raise SystemExit('TOLD')")
    script = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from ml.onnx.runtimes import AS_SERVED, open_runtimes
print(len(open_runtimes(open({str(made.folder / "model.onnx")!r}, "rb").read(), AS_SERVED)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, "TOLD" in done.stderr) == ("3\n", False), done.stderr

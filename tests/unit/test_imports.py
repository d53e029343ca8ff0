"""Nobody pays for what they do not use: what each way in imports, and what it does not."""

import subprocess
import sys

import pytest

HEAVY = {
    "tensorflow",
    "keras",
    "kfp",
    "pandas",
    "numpy",
    "sklearn",
    "onnxruntime",
    "openvino",
    "duckdb",
    "ibis",
    "cryptography",
    "securesystemslib",
}


def imported(script: str) -> set[str]:
    """Return which of the heavy packages a script ends up with."""
    code = f"{script}\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return HEAVY & set(done.stdout.split())


@pytest.mark.parametrize(
    "module",
    [
        "ml.gate.evidence",
        "ml.cli.main",
        "ml.release.promotion",
        "ml.release.signing",
        "ml.data.sources",
        "ml.judge.attest",
    ],
)
def test_light_ways_in_stay_light(module):
    assert imported(f"import {module}") == set()


def test_deciding_again_needs_nothing_heavy(finished_run):
    script = f"""
import contextlib, io
from ml.cli.main import app
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    app(["gate", {str(finished_run.evidence)!r}, "--json"])
"""
    assert imported(script) == set()


def test_parity_needs_no_tensorflow():
    assert imported("import ml.onnx.parity") & {"tensorflow", "keras", "sklearn", "pandas", "kfp"} == set()


def test_scoring_needs_nothing_that_runs_models():
    assert imported("import ml.judge.score") & {"tensorflow", "keras", "onnxruntime", "openvino"} == set()


@pytest.mark.slow
def test_keras_loads_without_what_is_hidden_and_leaves_it_importable():
    load = "from ml.onnx.keras_file import load_keras; load_keras()"
    assert imported(load) == {"tensorflow", "keras", "numpy"}
    assert imported(f"{load}; import sklearn.linear_model") >= {"sklearn", "pandas"}

"""Nobody pays for what they do not use: what each way in imports, and what it does not."""

import subprocess
import sys

import pytest

MODELS = {"tensorflow", "keras", "onnxruntime", "openvino"}
HEAVY = MODELS | {"kfp", "pandas", "numpy", "sklearn", "duckdb", "ibis", "cryptography", "securesystemslib"}
LIGHT = ("gate.evidence", "cli.main", "release.promotion", "release.signing", "data.sources", "judge.attest")


def imported(script: str) -> set[str]:
    """Return which of the heavy packages a script ends up with."""
    code = f"{script}\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return HEAVY & set(done.stdout.split())


@pytest.mark.parametrize(
    ("module", "without"),
    [
        *((module, HEAVY) for module in LIGHT),
        ("onnx.parity", {"tensorflow", "keras", "sklearn", "pandas", "kfp"}),
        ("judge.score", MODELS),
    ],
)
def test_a_way_in_stays_light(module, without):
    assert imported(f"import ml.{module}") & without == set()


def test_deciding_again_needs_nothing_heavy(finished_run):
    script = f"""
import contextlib, io
from ml.cli.main import app
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    app(["gate", {str(finished_run.evidence)!r}, "--json"])
"""
    assert imported(script) == set()


@pytest.mark.slow
def test_keras_loads_without_what_is_hidden_and_leaves_it_importable():
    load = "from ml.onnx.keras_file import load_keras; load_keras()"
    assert imported(load) == {"tensorflow", "keras", "numpy"}
    assert imported(f"{load}; import sklearn.linear_model") >= {"sklearn", "pandas"}

"""What the judge loads of a candidate: checked file by file before a library that runs models sees it."""

from pathlib import Path

from ml.core.errors import GateBlocked
from ml.core.files import file_digest, read_json
from ml.gate.candidate import NATIVE
from ml.gate.served import Served
from ml.judge.allowed_keras import check_keras
from ml.judge.allowed_onnx import check_onnx

SETTINGS = {"openvino": frozenset(("INFERENCE_PRECISION_HINT",)), "onnxruntime": frozenset[str]()}
"""By runtime: the settings that a candidate may give it. Others name files, plugins and devices."""


def check_candidate(folder: Path) -> Served:
    """Check the files of a candidate, and return how it is to be served.

    Args:
        folder: holds ``model.onnx``, ``served.json`` and, where there is one, ``model.keras``.

    Raises:
        GateBlocked: one of them is not what the judge loads; the message names the operator, layer or
            setting.
        OSError: one of them cannot be read.
    """
    check_onnx(folder / "model.onnx")
    if (folder / NATIVE).exists():
        check_keras(folder / NATIVE)
    try:
        served = Served.load(read_json(folder / "served.json"))
    except (TypeError, ValueError) as error:
        raise GateBlocked(f"served.json: {error}") from error
    if odd := sorted(set(served.settings) - SETTINGS[served.runtime]):
        raise GateBlocked(f"served.json gives {served.runtime} the setting {odd[0]!r}, which is not allowed")
    if served.digest != file_digest(folder / "served.json"):
        raise GateBlocked("served.json is not in canonical form; write it with `ml.core.files.write_json`")
    return served

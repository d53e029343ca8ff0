"""The runtimes that may serve the ONNX model, opened as a server would, each as one function.

KServe's own server uses onnxruntime; OpenVINO is the engine of OpenShift AI's default model server. OpenVINO
by itself picks bfloat16 on a CPU that has it, with three digits, and then names other classes.
"""

import io
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ml.core.lean_imports import hidden
from ml.gate.served import Served
from ml.gate.subjects.parity import SERVED
from ml.problem import INPUT, OUTPUT

if TYPE_CHECKING:
    import onnxruntime

AS_SERVED = Served(runtime="openvino", settings={"INFERENCE_PRECISION_HINT": "f32"})
"""How the models of this project are served: in float32, on every CPU."""


@dataclass(frozen=True)
class Runtime:
    """A model in a runtime.

    Attributes:
        name: its part in the report.
        engine: onnxruntime or openvino.
        version: of the engine.
        precision: what the engine says that it computes in, as ``float32``.
        settings: what the engine was told.
        run: raw features float32 [N, F] to probabilities float32 [N, K]; may be called from any thread.
    """

    name: str
    engine: str
    version: str
    precision: str
    settings: dict[str, str]
    run: Callable[[np.ndarray], np.ndarray]


def open_runtimes(model: bytes, served: Served) -> tuple[Runtime, ...]:
    """Open a model as it is served, in onnxruntime, and in OpenVINO by itself.

    Args:
        model: the ONNX file's bytes.
        served: the configuration that is part of the candidate.

    Raises:
        ValueError: onnxruntime is to be served with settings; it has none of that kind.
        RuntimeError: a runtime cannot load the model, or does not know a setting.
    """
    opened = {"onnxruntime": _onnxruntime, "openvino": _openvino}
    return (
        opened[served.runtime](SERVED, model, served.settings),
        _onnxruntime("onnxruntime", model, {}),
        _openvino("openvino", model, {}),
    )


def open_session(model: bytes) -> "onnxruntime.InferenceSession":
    """Open a model in onnxruntime, on one thread: the networks here are too small for more to gain."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _onnxruntime(name: str, model: bytes, settings: dict[str, str]) -> Runtime:
    import onnxruntime

    if settings:
        raise ValueError(f"onnxruntime takes no settings: {', '.join(sorted(settings))}")
    session = open_session(model)

    def run(rows: np.ndarray) -> np.ndarray:
        return np.asarray(session.run([OUTPUT], {INPUT: rows})[0])

    # It computes in the types of the graph, and `interface_problems` looks at those.
    return Runtime(name, "onnxruntime", onnxruntime.__version__, "float32", settings, run)


def _openvino(name: str, model: bytes, settings: dict[str, str]) -> Runtime:
    # While it is imported, it reports so to its maker; it goes without where that package is missing.
    with hidden("openvino_telemetry"):
        import openvino
        from openvino.frontend import FrontEndManager

    # As ONNX, which is how a server reads model.onnx. `read_model` guesses by the content instead, and takes
    # a file with "<net version=…>" in one of its texts for OpenVINO's own format.
    frontend = FrontEndManager().load_by_framework("onnx")
    parsed = frontend.convert(frontend.load(io.BytesIO(model)))
    compiled = openvino.Core().compile_model(parsed, "CPU", dict(settings))
    precision = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    local = threading.local()

    def run(rows: np.ndarray) -> np.ndarray:
        # A request holds the buffers of one call: threads that share one would write into each other's.
        if not hasattr(local, "request"):
            local.request = compiled.create_infer_request()
        return np.asarray(local.request.infer({INPUT: rows})[OUTPUT])

    version = openvino.__version__.partition("-")[0]
    return Runtime(name, "openvino", version, PRECISIONS.get(precision, precision), settings, run)


PRECISIONS = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}
"""OpenVINO's names of precisions, and NumPy's."""

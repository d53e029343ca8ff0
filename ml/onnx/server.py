"""The model server that the step `serving` starts: KServe's own, with the ONNX model in onnxruntime.

It runs by itself, in the environment of requirements/server.txt, which has nothing of this package:
``python -I server.py MODEL NAME FD``. It implements the Open Inference Protocol v2 over HTTP on a socket that
it is given, bound to loopback, and ends with the process that started it: when its standard input ends, its
process group does.
"""

import logging
import os
import signal
import socket
import sys
import threading
import uuid
from pathlib import Path
from typing import Any, NoReturn

import kserve
import numpy as np
import onnxruntime
from kserve.protocol.rest.server import RESTServer

MOST_ROWS = 100_000
"""Rows that a request may have: what a server of one model of this size can answer without a queue behind
it."""

TYPES = {"tensor(float)": ("FP32", np.float32)}
"""ONNX's types, the protocol's name for each, and NumPy's."""


class OnnxModel(kserve.Model):  # type: ignore[misc]
    """An ONNX model with one input and one output, each float32 [N, K]."""

    def __init__(self, name: str, path: Path) -> None:
        super().__init__(name)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        (self._input,) = self._session.get_inputs()
        (self._output,) = self._session.get_outputs()
        self.ready = True

    async def get_input_types(self) -> list[dict[str, Any]]:
        """Describe the input, for the model's metadata."""
        return [_described(self._input)]

    async def get_output_types(self) -> list[dict[str, Any]]:
        """Describe the output, for the model's metadata."""
        return [_described(self._output)]

    async def predict(self, payload: Any, *_: Any, **__: Any) -> kserve.InferResponse:
        """Answer a request, or refuse it.

        Raises:
            kserve.errors.InvalidInput: it is not one tensor of the model's name, type and shape, all numbers.
        """
        rows = self._rows(payload)
        (answers,) = self._session.run([self._output.name], {self._input.name: rows})
        output = kserve.InferOutput(self._output.name, list(answers.shape), "FP32")
        output.set_data_from_numpy(answers, binary_data=False)
        # The protocol lets a request go without an id; KServe wants one in each answer.
        return kserve.InferResponse(payload.id or uuid.uuid4().hex, self.name, [output])

    def _rows(self, payload: Any) -> Any:
        refuse = kserve.errors.InvalidInput
        if not isinstance(payload, kserve.InferRequest):
            raise refuse("this server answers requests of the Open Inference Protocol v2 only")
        if [tensor.name for tensor in payload.inputs] != [self._input.name]:
            raise refuse(f"give one input, {self._input.name}")
        (tensor,) = payload.inputs
        datatype, _ = TYPES[self._input.type]
        features = self._input.shape[1]
        if tensor.datatype != datatype or len(tensor.shape) != 2 or tensor.shape[1] != features:
            raise refuse(f"{self._input.name} must be {datatype} of shape [N, {features}]")
        if not 1 <= tensor.shape[0] <= MOST_ROWS:
            raise refuse(f"{self._input.name} must have 1 to {MOST_ROWS} rows")
        try:
            rows = np.asarray(tensor.as_numpy(), np.float32).reshape(tensor.shape)
        except (TypeError, ValueError) as error:
            raise refuse(f"{self._input.name}: {error}") from error
        if not np.isfinite(rows).all():
            raise refuse(f"{self._input.name} has a value that is not a finite number")
        return rows


def _described(tensor: Any) -> dict[str, Any]:
    # The first dimension is the batch, of any size; the protocol writes -1.
    shape = [size if isinstance(size, int) else -1 for size in tensor.shape]
    return {"name": tensor.name, "datatype": TYPES[tensor.type][0], "shape": shape}


def _end_with_starter() -> None:
    """End the process group when nobody holds the other end of the standard input any more."""
    # Past Python's buffer, whose lock this thread would hold when the interpreter ends.
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.killpg(0, signal.SIGKILL)


def _leave(*_: object) -> NoReturn:
    raise SystemExit(0)


def main(model: Path, name: str, descriptor: int) -> None:
    """Serve a model until told to stop.

    Args:
        model: the ONNX file.
        name: the model's name in URLs.
        descriptor: an open file descriptor: a TCP socket, bound, that does not listen yet.
    """
    threading.Thread(target=_end_with_starter, daemon=True).start()
    # uvicorn sends itself the signal again that it has stopped for; this makes a clean end of it.
    signal.signal(signal.SIGTERM, _leave)
    # KServe's own start() listens on every address; its parts do not insist.
    server = kserve.ModelServer(workers=1, enable_grpc=False, enable_latency_logging=False)
    for noisy in ("uvicorn.access", "kserve.trace"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    server.register_model(OnnxModel(name, model))
    rest = RESTServer(
        "kserve.model_server:app",
        server.dataplane,
        server.model_repository_extension,
        0,
        grace_period=5,
        event_loop="asyncio",
    )
    rest.run([socket.socket(fileno=descriptor)])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))

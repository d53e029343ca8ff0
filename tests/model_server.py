"""A model server's double, right or wrong in one way: `python model_server.py MODE MODEL NAME FD`.

Beside it: how to start it, and the files that `check_serving` reads, with a model made in a second.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import onnxruntime

CLASSES = ("A", "B", "C")
EXAMPLES = 20


def double(mode: str, model: Path) -> list[str]:
    """Return the command that starts the double."""
    return [sys.executable, __file__, mode, str(model), "jukebox"]


def write_files(folder: Path) -> None:
    """Write ``model.onnx``, ``reference.parquet``, ``labels.json`` and ``served.json``."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from onnx_models import write_model
    from reports import DIGESTS, SERVED

    from ml.core.files import write_json
    from ml.data.splits import Labels, as_lists
    from ml.gate.nouns import Nouns

    random = np.random.default_rng(7)
    model = write_model(folder / "model.onnx", random.normal(size=(13, 3)).astype("float32"), {})
    rows = random.normal(size=(EXAMPLES + 1, 13)).astype("float32")
    answers = onnxruntime.InferenceSession(model).run(None, {"features": rows})[0]
    # One row of another family, with an answer that no server gives: it must not be asked for.
    answers[-1] = 7
    families = ["test"] * EXAMPLES + ["zeros"]
    table = pa.table({"family": families, "features": as_lists(rows), "probabilities": as_lists(answers)})
    source = {"model_digest": DIGESTS["model.keras"], "test_digest": DIGESTS["test.parquet"]}
    source["reference"] = "native"
    pq.write_table(table.replace_schema_metadata(source), folder / "reference.parquet")
    features = tuple(f"feature {index}" for index in range(13))
    labels = Labels(definition="double/v1", nouns=Nouns(), features=features, classes=CLASSES)
    write_json(folder / "labels.json", labels)
    write_json(folder / "served.json", SERVED)


class Handler(BaseHTTPRequestHandler):
    """Answers as the protocol asks, but for the mode."""

    protocol_version = "HTTP/1.1"
    mode: str
    session: onnxruntime.InferenceSession
    refused = 0

    def log_message(self, *_):
        pass

    def answer(self, status: int, content: object) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        if status == 307:
            self.send_header("Location", "/v2/elsewhere")
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        tensor = {"name": "features", "datatype": "FP32", "shape": [-1, 13]}
        features = {**tensor, "name": "width"} if self.mode == "metadata" else tensor
        output = {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]}
        known = {
            "/v2": {"name": "double", "version": "1"},
            "/v2/health/ready": {"ready": self.mode != "never_ready"},
            "/v2/models/jukebox/ready": {"name": "jukebox", "ready": True},
            "/v2/models/jukebox": {"name": "jukebox", "inputs": [features], "outputs": [output]},
        }
        found = known.get(self.path)
        self.answer(200 if found else 404, found or {})

    def do_POST(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            (tensor,) = json.loads(data)["inputs"]
            rows = np.array(tensor["data"], "float32").reshape(tensor["shape"])
            fine = tensor["name"] == "features" and tensor["datatype"] == "FP32"
            fine = fine and rows.shape[1] == 13 and len(rows) < 1000 and np.isfinite(rows).all()
        except (KeyError, TypeError, ValueError):
            fine = False
        if not fine:
            return self.refuse()
        answers = self.session.run(None, {"features": rows})[0]
        return self.give(answers)

    def refuse(self) -> None:
        type(self).refused += 1
        if self.mode == "dies":
            print("Segmentation fault", flush=True)
            os._exit(139)
        if self.mode == "drops":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.answer({"accepts": 200, "breaks": 500}.get(self.mode, 400), {"error": "no"})

    def give(self, answers: np.ndarray) -> None:
        if self.mode == "trickles":
            self.send_response(200)
            self.end_headers()
            while True:
                self.wfile.write(b" ")
                time.sleep(0.05)
        if self.mode == "off" or (self.mode == "forgets" and self.refused):
            answers = answers + np.float32(1e-3)
        if self.mode == "reversed":
            answers = answers[:, ::-1]
        if self.mode == "narrow":
            answers = answers[:, :-1]
        if self.mode == "short":
            answers = answers[:-1]
        values = answers.ravel().tolist()
        if self.mode == "null":
            values[0] = None
        output = {"name": "probabilities", "datatype": "FP32", "shape": list(answers.shape), "data": values}
        if self.mode == "other_name":
            output["name"] = "scores"
        if self.mode == "other_type":
            output["datatype"] = "FP64"
        if self.mode == "text":
            output["data"] = "loud"
        content = {"list": [], "html": b"<h1>It works!</h1>", "number": 7}.get(
            self.mode, {"outputs": [output]}
        )
        status = {"redirects": 307, "error": 500, "busy": 503}.get(self.mode, 200)
        self.answer(status, content)


def main(mode: str, model: str, _: str, descriptor: str) -> None:
    if mode == "exits":
        print("first line\n\n  cannot\tread the model  ", file=sys.stderr)
        sys.exit(3)
    if mode in ("stays", "leaks", "escapes"):
        # All in the way of this process: signals ignored, and children that sleep.
        if mode == "stays":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        else:
            # One is found by its group alone, the other by its environment alone.
            escapes = mode == "escapes"
            subprocess.Popen(["sleep", "1000"], start_new_session=escapes, env=None if escapes else {})
    if mode == "hangs":
        time.sleep(1000)
    if mode not in ("stays",):
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    Handler.mode, Handler.session = mode, onnxruntime.InferenceSession(model)
    server = ThreadingHTTPServer(("", 0), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = socket.socket(fileno=int(descriptor))
    server.server_activate()
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A model server's double, right or wrong in one way: `python model_server.py MODE MODEL NAME FD`."""

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


def double(mode: str, model: Path) -> list[str]:
    """Return the command that starts the double."""
    return [sys.executable, __file__, mode, str(model), "jukebox"]


class Handler(BaseHTTPRequestHandler):
    """Answers as the protocol asks, but for the mode."""

    protocol_version = "HTTP/1.1"
    mode: str
    session: onnxruntime.InferenceSession

    def log_message(self, *_):
        pass

    def answer(self, status: int, content: object) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        tensors = (self.session.get_inputs(), self.session.get_outputs())
        inputs, outputs = (
            [{"name": one.name, "datatype": "FP32", "shape": [-1, one.shape[1]]} for one in side]
            for side in tensors
        )
        known = {
            "/v2": {"name": "double", "version": "1"},
            "/v2/health/ready": {"ready": self.mode != "never_ready"},
            "/v2/models/jukebox/ready": {"name": "jukebox", "ready": True},
            "/v2/models/jukebox": {"name": "jukebox", "inputs": inputs, "outputs": outputs},
        }
        self.answer(200 if self.path in known else 404, known.get(self.path))

    def do_POST(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            (tensor,) = json.loads(data)["inputs"]
            rows = np.array(tensor["data"], "float32").reshape(tensor["shape"])
            fine = tensor["name"] == "features" and tensor["datatype"] == "FP32"
            fine = fine and len(rows) < 1000 and np.isfinite(rows).all()
            (answers,) = self.session.run(None, {"features": rows}) if fine else (None,)
        except Exception:
            fine = False
        if self.mode == "dies" and not fine:
            print("Segmentation fault", flush=True)
            os._exit(139)
        if self.mode == "trickles":
            self.send_response(200)
            self.end_headers()
            while True:
                self.wfile.write(b" ")
                time.sleep(0.05)
        if not fine:
            return self.answer(400, {"error": "no"})
        shape, values = list(answers.shape), answers.ravel().tolist()
        output = {"name": "probabilities", "datatype": "FP32", "shape": shape, "data": values}
        return self.answer(200, {"outputs": [output]})


def main(mode: str, model: str, _: str, descriptor: str) -> None:
    if mode == "exits":
        print("first line\n\n  cannot\tread the model  ", file=sys.stderr)
        sys.exit(3)
    signal.signal(signal.SIGTERM, signal.SIG_IGN if mode == "stays" else lambda *_: os._exit(0))
    if mode in ("leaks", "escapes"):
        # The child of one is found by its group alone, that of the other by its environment alone.
        escapes = mode == "escapes"
        subprocess.Popen(["sleep", "1000"], start_new_session=escapes, env=None if escapes else {})
    Handler.mode, Handler.session = mode, onnxruntime.InferenceSession(model)
    server = ThreadingHTTPServer(("", 0), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = socket.socket(fileno=int(descriptor))
    server.server_activate()
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])

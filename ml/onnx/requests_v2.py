"""Requests of the Open Inference Protocol v2, good and bad, and their answers as arrays.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

import json
from typing import Any

import numpy as np
import requests

from ml.onnx.server_process import Server
from ml.problem import INPUT, OUTPUT

NAME = "jukebox"
"""The model's name in the server, whatever it is in the store."""

SECONDS = (5, 60)
"""To connect, and between two bytes of an answer; the server's `ServerTimeouts` bounds the whole."""

HUGE = 200_000
"""Rows: more than a request may have."""

FLOAT32 = "FP32"


class InferenceClient:
    """Talks to a model server over one connection, past any proxy."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._session = requests.Session()
        self._session.trust_env = False

    def get(self, path: str) -> Any:
        """Return the JSON at a path below the protocol's root, or None where there is none yet.

        A server that does not answer is not there yet; one that answers something else is not ready.
        """
        try:
            answer = self._session.get(self._server.url + path, timeout=SECONDS, allow_redirects=False)
            return answer.json() if answer.status_code == 200 else None
        except (requests.RequestException, ValueError):
            return None

    def infer(self, rows: np.ndarray) -> np.ndarray:
        """Return the model's answers, float32 [N, K], NaN where the answer has no number.

        Args:
            rows: raw features, float32 [N, F].

        Raises:
            RunFailed: the server is gone, refuses the rows, or answers what is no answer to them.
        """
        try:
            answer = self._post(json.dumps(body(rows)).encode())
        except requests.RequestException as error:
            raise self._server.failed(f"gives no answer ({type(error).__name__})") from error
        if answer.status_code != 200:
            raise self._server.failed(f"answers {answer.status_code} to a golden request")
        try:
            (output,) = (entry for entry in answer.json()["outputs"] if entry["name"] == OUTPUT)
            if output["datatype"] != FLOAT32 or output["shape"][:1] != [len(rows)]:
                raise ValueError("another type or shape")
            # A number that is none is null in JSON; NumPy makes NaN of it.
            return np.array(output["data"], dtype="float32").reshape(output["shape"])
        except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
            what = f"answers a golden request of {len(rows)} rows with something else ({error})"
            raise self._server.failed(what) from error

    def status(self, data: bytes) -> int:
        """Return the HTTP status that a body gets, 0 where there is no answer."""
        try:
            return self._post(data).status_code
        except requests.RequestException:
            return 0
        finally:
            # A server may drop the connection with its refusal.
            self._session.close()

    def _post(self, data: bytes) -> requests.Response:
        return self._session.post(
            f"{self._server.url}/models/{NAME}/infer",
            data=data,
            headers={"Content-Type": "application/json"},
            timeout=SECONDS,
            allow_redirects=False,
        )


def body(rows: np.ndarray, **changes: Any) -> dict[str, Any]:
    """Return a request about rows; ``changes`` are other values of its one input."""
    tensor = {"name": INPUT, "shape": list(rows.shape), "datatype": FLOAT32, "data": rows.ravel().tolist()}
    return {"inputs": [{**tensor, **changes}]}


def bad_requests(row: np.ndarray) -> dict[str, bytes]:
    """Return requests that a server must refuse, by what is wrong with them.

    Args:
        row: raw features of one example, float32 [1, F].
    """
    features = row.shape[1]
    bodies = {
        "wrong_shape": body(row[:, 1:]),
        "shape_of_other_data": body(row, shape=[2, features]),
        "wrong_name": body(row, name="other"),
        "wrong_type": body(row, datatype="BYTES"),
        "text": body(row, data=["loud"] * features),
        "nan": body(np.full_like(row, np.nan)),
        "no_input": {"inputs": []},
        "huge": body(np.zeros((HUGE, features), dtype="int8")),
    }
    return {
        "empty": b"",
        "not_json": b'{"inputs": [',
        "not_text": b"\xff\xfe\x00",
        **{name: json.dumps(value).encode() for name, value in bodies.items()},
    }

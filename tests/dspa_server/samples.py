"""A small pipeline for the double's own tests, and a client that returns raw responses."""

import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import yaml
from kfp import compiler, dsl, kubernetes

from dspa_server.state import Dspa
from ml.dspa.connection import Connection

HEALTH = b"GET /apis/v2beta1/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


@dsl.component(base_image="localhost/python:none", install_kfp_package=False)
def write(text: str, number: int, run_id: str) -> str:
    import os

    secret = os.environ.get("SECRET", "")
    with open(os.environ["TARGET"], "w") as file:
        file.write(f"{text} {number} {run_id} {secret}")
    return text


@dsl.component(base_image="localhost/python:none", install_kfp_package=False)
def fail_if_asked(text: str) -> str:
    if text == "fail":
        raise SystemExit("it was asked to fail")
    if text == "sleep":
        import time

        time.sleep(600)
    return text


@dsl.pipeline(name="two-steps")
def two_steps(text: str, number: int = 7, share: float = 0.5, flag: bool = False, items: list = [1]):  # noqa: B006
    first = write(text=text, number=number, run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER)
    fail_if_asked(text=first.output)
    kubernetes.use_secret_as_env(first, "token", {"value": "SECRET"})


def compiled(folder: Path) -> Path:
    """Compile the pipeline of two steps."""
    path = folder / "two-steps.yaml"
    compiler.Compiler().compile(two_steps, str(path))
    return path


def nested(path: Path) -> dict[str, Any]:
    """Return an IR as the body of a request has it."""
    spec, platform = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    return {"pipeline_spec": spec, "platform_spec": platform}


def dial(dspa: Dspa) -> socket.socket:
    """Connect to the server below HTTP."""
    return socket.create_connection((urlsplit(dspa.url).hostname, urlsplit(dspa.url).port), timeout=20)


def refused(response: requests.Response, status: int, code: int) -> str:
    """Check an answer's error, and return its message."""
    error = response.json()
    assert (response.status_code, error["code"]) == (status, code), error
    return error["message"]


class Api:
    """A client that returns raw responses."""

    def __init__(self, target: Dspa | Connection, ir: Path | None = None):
        self.dspa, self.ir = target, ir
        self.connection = target if isinstance(target, Connection) else Connection(host=target.url)

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        token, ca = self.connection.token(), self.connection.ca
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"{self.connection.host}/apis/v2beta1{path}"
        return requests.request(
            method, url, headers=headers, verify=str(ca or "") or True, timeout=60, **options
        )

    def get(self, path: str, **query: Any) -> requests.Response:
        return self.call("GET", path, params=query)

    def post(self, path: str, body: Any = None) -> requests.Response:
        return self.call("POST", path, json=body or {})

    def run_body(self, name: str = "a run", **fields: Any) -> dict[str, Any]:
        """Return the body that starts a run; None omits a field."""
        assert self.ir is not None
        config = {"parameters": {"text": "hello"}}
        body = {"display_name": name, "pipeline_spec": nested(self.ir), "runtime_config": config, **fields}
        return {name: value for name, value in body.items() if value is not None}

    def begin(self, name: str = "a run", **fields: Any) -> dict[str, Any]:
        """Start a run."""
        response = self.post("/runs", self.run_body(name, **fields))
        assert response.status_code == 200, response.text
        return response.json()

    def states(self, run_id: str, count: int) -> list[str | None]:
        """GET a run so many times, and list its states."""
        return [self.get(f"/runs/{run_id}").json().get("state") for _ in range(count)]

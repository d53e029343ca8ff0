"""A small pipeline for the double's own tests, and a client that returns raw responses."""

import json
from typing import Any

import requests
from kfp import dsl, kubernetes

from dspa_server.state import Dspa
from ml.dspa.connection import Connection


@dsl.component(base_image="localhost/python:none", install_kfp_package=False)
def write(text: str, number: int, run_id: str) -> str:
    import os

    with open(os.environ["TARGET"], "w") as file:
        file.write(f"{text} {number} {run_id} {os.environ['SECRET']}")
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
def two_steps(text: str, number: int = 7, share: float = 0.5, flag: bool = False):
    first = write(text=text, number=number, run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER)
    fail_if_asked(text=first.output)
    kubernetes.use_secret_as_env(first, "token", {"value": "SECRET"})


def refused(response: requests.Response, status: int, code: int) -> str:
    """Check an answer's error, and return its message."""
    error = response.json()
    assert (response.status_code, error["code"]) == (status, code), error
    return error["message"]


def named(name: Any, operation: str = "EQUALS", **more: Any) -> str:
    """Return the filter of a list by name."""
    predicate = {"operation": operation, "key": "display_name", "stringValue": name, **more}
    return json.dumps({"predicates": [predicate]})


class Api:
    """A client that returns raw responses."""

    def __init__(self, target: Dspa | Connection, ir: dict[str, Any]):
        self.dspa, self.ir = target, ir
        self.connection = target if isinstance(target, Connection) else Connection(host=target.url)

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        token, ca = self.connection.token(), self.connection.ca
        options |= {"headers": {"Authorization": f"Bearer {token}"} if token else {}, "timeout": 60}
        return requests.request(
            method, f"{self.connection.host}/apis/v2beta1{path}", verify=str(ca or "") or True, **options
        )

    def get(self, path: str, **query: Any) -> requests.Response:
        return self.call("GET", path, params=query)

    def post(self, path: str, body: Any = None) -> requests.Response:
        return self.call("POST", path, json=body or {})

    def body(self, name: str = "a run", **fields: Any) -> dict[str, Any]:
        """Return the body that starts a run."""
        config = {"parameters": {"text": "hello"}}
        return {"display_name": name, "pipeline_spec": self.ir, "runtime_config": config, **fields}

    def begin(self, name: str = "a run", **fields: Any) -> str:
        """Start a run, and return its id."""
        response = self.post("/runs", self.body(name, **fields))
        assert response.status_code == 200, response.text
        return response.json()["run_id"]

    def run(self, run_id: str) -> dict[str, Any]:
        answer = self.get(f"/runs/{run_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

"""The server starts, stops and comes back, and no client holds it up."""

from urllib.parse import urlsplit

import pytest
import requests

from dspa_server import Dspa, Fault, serving
from dspa_server.samples import HEALTH, Api, dial


def test_connections_are_kept_and_dropped_at_the_end():
    with serving(Dspa()) as dspa:
        connection = dial(dspa)
        for _ in range(2):
            connection.sendall(HEALTH)
            assert connection.recv(4096).startswith(b"HTTP/1.1 200 OK")
    assert connection.recv(1) == b""
    connection.close()


def test_a_server_that_comes_back(ir):
    dspa = Dspa()
    with serving(dspa):
        run_id = Api(dspa, ir).begin()["run_id"]
        port = urlsplit(dspa.url).port
    with pytest.raises(requests.ConnectionError):
        Api(dspa).get("/healthz")
    with serving(dspa, port=port):
        assert Api(dspa).get(f"/runs/{run_id}").status_code == 200


def test_the_end_of_serving_waits_for_nobody():
    dspa = Dspa(fault=lambda request: Fault.hang(600))
    with serving(dspa), dial(dspa) as connection:
        connection.sendall(HEALTH)
        dspa.wait(lambda dspa: dspa.requests)

"""Each fault does on the wire what its name says, and commits what it says."""

import json
import socket
import ssl

import pytest
import requests
import trustme

from dspa_server import Dspa, Fault, serving
from dspa_server.samples import HEALTH, dial


def pieces(connection):
    """Read a connection to its end."""
    return list(iter(lambda: connection.recv(1 << 20), b""))


def ask(dspa, fault):
    """Send a request over a socket that meets a fault, and return all that comes back."""
    dspa.fault = lambda _: fault
    with dial(dspa) as connection:
        connection.sendall(HEALTH.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        return b"".join(pieces(connection))


def posted(dspa, api, fault):
    """Start a run that meets a fault, and return the status, or the error's text."""
    dspa.fault = lambda _: fault
    try:
        return api.post("/runs", api.run_body()).status_code
    except requests.ConnectionError as error:
        return str(error)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("make", "said"),
    [(Fault.reset, "reset"), (Fault.close, "without response"), (Fault.gateway_timeout, "504")],
)
def test_a_fault_before_or_after_the_commit(dspa, api, make, said, after):
    assert said in str(posted(dspa, api, make(after=after)))
    assert len(dspa.runs) == after


def test_a_reset_is_one_also_below_tls_and_a_close_is_none(dspa):
    assert ask(dspa, Fault.close()) == ask(dspa, Fault.hang(0.01)) == b""
    with pytest.raises(ConnectionResetError):
        ask(dspa, Fault.reset())
    ca, context = trustme.CA(), ssl.create_default_context()
    ca.configure_trust(context)
    secure = Dspa(fault=lambda request: Fault.reset())
    with serving(secure, ca=ca), dial(secure) as raw:
        connection = context.wrap_socket(raw, server_hostname="localhost")
        connection.sendall(HEALTH)
        with socket.socket(fileno=connection.detach()) as below, pytest.raises(ConnectionResetError):
            below.settimeout(20)
            pieces(below)


@pytest.mark.parametrize("after", [False, True])
def test_a_hanging_socket(dspa, api, after):
    dspa.fault = lambda _: Fault.hang(600, after=after)
    with dial(dspa) as connection:
        body = json.dumps(api.run_body()).encode()
        head = f"POST /apis/v2beta1/runs HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        dspa.wait(lambda dspa: len(dspa.requests) == 1 and len(dspa.runs) == after)
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)


@pytest.mark.parametrize(("reset", "said"), [(False, "504"), (True, "reset")])
def test_a_late_commit_answers_first(dspa, api, reset, said):
    assert said in str(posted(dspa, api, Fault.late_commit(600, reset=reset)))
    assert dspa.runs == {}
    posted(dspa, api, Fault.late_commit(0.2, reset=reset))
    dspa.wait(lambda dspa: len(dspa.runs) == 1)


def test_an_edited_answer_to_a_chosen_request(dspa, api):
    run_id = api.begin()["run_id"]
    edited = Fault.edited(lambda run: {**run, "state": 5, "run_id": [run["run_id"]]})
    faults = {3: edited, 4: Fault.unauthorized()}
    dspa.fault = lambda request: faults.get(request.number)
    answers = [api.get(f"/runs/{run_id}") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 401, 200]
    assert (answers[1].json()["state"], answers[1].json()["run_id"]) == (5, [run_id])
    assert dspa.runs[run_id].gets == 3


def test_truncated_json(dspa, api):
    whole = api.get("/healthz").content
    head, _, body = ask(dspa, Fault.truncated()).partition(b"\r\n\r\n")
    assert f"Content-Length: {len(whole)}".encode() in head
    assert (whole.startswith(body), len(body)) == (True, len(whole) // 2)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        api.get("/healthz")
    dspa.fault = lambda _: Fault.truncated(matching=True)
    assert api.get("/healthz").content == body


@pytest.mark.parametrize(("make", "end"), [(Fault.slow_body, b"\r\n\r\n"), (Fault.slow_headers, b"")])
def test_a_slow_answer_comes_in_pieces_and_is_complete_in_the_end(dspa, api, make, end):
    whole = api.get("/healthz").content
    assert ask(dspa, make(0.001, piece=5)).endswith(whole)
    dspa.fault = lambda _: make(600, piece=5)
    with dial(dspa) as connection:
        connection.sendall(HEALTH)
        data = b""
        while end not in data or len(data.rpartition(end)[2] if end else data) < 5:
            data += connection.recv(1)
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)

"""Each fault does on the wire what its name says, and what it says it committed is committed."""

import contextlib
import json
import socket
import ssl

import pytest
import requests
import trustme

from dspa_server import Dspa, Fault, serving
from dspa_server.samples import HEALTH, dial


@contextlib.contextmanager
def failing(dspa, fault):
    """Let every request meet a fault."""
    dspa.fault = lambda request: fault
    try:
        yield
    finally:
        dspa.fault = None


def pieces(connection):
    """Read a connection to its end, and list what came at a time."""
    return list(iter(lambda: connection.recv(1 << 20), b""))


def ask(dspa, fault):
    """Send a request over a socket that meets a fault, and return all that comes back."""
    with failing(dspa, fault), dial(dspa) as connection:
        connection.sendall(HEALTH.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        return b"".join(pieces(connection))


@pytest.mark.parametrize("after", [False, True])
def test_a_reset_before_or_after_the_commit(dspa, api, after):
    with failing(dspa, Fault.reset(after=after)):
        with pytest.raises(requests.ConnectionError, match="reset"):
            api.post("/runs", api.run_body())
        with dial(dspa) as connection:
            connection.sendall(HEALTH)
            with pytest.raises(ConnectionResetError):
                pieces(connection)
    assert len(dspa.runs) == after


def test_a_reset_below_tls():
    ca = trustme.CA()
    context = ssl.create_default_context()
    ca.configure_trust(context)
    dspa = Dspa(fault=lambda request: Fault.reset())
    with serving(dspa, ca=ca), dial(dspa) as raw:
        connection = context.wrap_socket(raw, server_hostname="localhost")
        connection.sendall(HEALTH)
        with socket.socket(fileno=connection.detach()) as below, pytest.raises(ConnectionResetError):
            below.settimeout(20)
            pieces(below)


@pytest.mark.parametrize("after", [False, True])
def test_a_close_before_or_after_the_commit(dspa, api, after):
    assert ask(dspa, Fault.close()) == b""
    with (
        failing(dspa, Fault.close(after=after)),
        pytest.raises(requests.ConnectionError, match="without response"),
    ):
        api.post("/runs", api.run_body())
    assert len(dspa.runs) == after


@pytest.mark.parametrize("after", [False, True])
def test_another_answer_before_or_after_the_commit(dspa, api, after):
    with failing(dspa, Fault.gateway_timeout(after=after)):
        assert api.post("/runs", api.run_body()).status_code == 504
    assert len(dspa.runs) == after


@pytest.mark.parametrize("after", [False, True])
def test_a_hanging_socket(dspa, api, after):
    with failing(dspa, Fault.hang(600, after=after)), dial(dspa) as connection:
        body = json.dumps(api.run_body()).encode()
        head = f"POST /apis/v2beta1/runs HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        dspa.wait(lambda dspa: len(dspa.requests) == 1 and len(dspa.runs) == after)
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
    assert len(dspa.runs) == after


def test_a_hang_ends_in_silence(dspa):
    assert ask(dspa, Fault.hang(0.01)) == b""


@pytest.mark.parametrize("reset", [False, True])
def test_a_late_commit(dspa, api, reset):
    with failing(dspa, Fault.late_commit(0.3, reset=reset)):
        if reset:
            with pytest.raises(requests.ConnectionError):
                api.post("/runs", api.run_body())
        else:
            assert api.post("/runs", api.run_body()).status_code == 504
    dspa.wait(lambda dspa: len(dspa.runs) == 1)


def test_a_late_commit_waits(dspa, api):
    with failing(dspa, Fault.late_commit(600)):
        api.post("/runs", api.run_body())
    assert dspa.runs == {}


@pytest.mark.parametrize(
    ("fault", "code", "kind", "text"),
    [
        (Fault.login_page(), 200, "text/html; charset=utf-8", "<title>Log In</title>"),
        (Fault.unauthorized(), 401, "text/plain; charset=utf-8", "Unauthorized\n"),
        (Fault.forbidden(), 403, "text/plain; charset=utf-8", "Forbidden\n"),
        (Fault.json([]), 200, "application/json", "[]"),
        (Fault.json({}), 200, "application/json", "{}"),
        (Fault.json(None), 200, "application/json", "null"),
        (Fault.status(418, "tea", "text/tea"), 418, "text/tea", "tea"),
    ],
)
def test_other_answers(dspa, api, fault, code, kind, text):
    with failing(dspa, fault):
        response = api.get("/healthz")
    assert (response.status_code, response.headers["Content-Type"]) == (code, kind)
    assert text in response.text


def test_retry_after(dspa, api):
    for code, after in ((429, "7"), (503, None)):
        with failing(dspa, Fault.busy(code, after)):
            response = api.get("/runs")
        assert (response.status_code, response.headers.get("Retry-After")) == (code, after)


def test_a_redirect(dspa, api):
    dspa.fault = lambda request: Fault.redirect(f"{dspa.url}/elsewhere") if request.number == 1 else None
    assert api.get("/healthz").url == f"{dspa.url}/elsewhere"


def test_a_body_with_other_types(dspa, api):
    run_id = api.begin()["run_id"]
    with failing(dspa, Fault.edited(lambda run: {**run, "state": 5, "run_id": [run["run_id"]]})):
        found = api.get(f"/runs/{run_id}").json()
    assert (found["state"], found["run_id"]) == (5, [run_id])
    assert dspa.runs[run_id].gets == 1


def test_truncated_json(dspa, api):
    whole = api.get("/healthz").content
    head, _, body = ask(dspa, Fault.truncated()).partition(b"\r\n\r\n")
    assert f"Content-Length: {len(whole)}".encode() in head
    assert whole.startswith(body)
    assert len(body) == len(whole) // 2
    with failing(dspa, Fault.truncated()), pytest.raises(requests.exceptions.ChunkedEncodingError):
        api.get("/healthz")
    with failing(dspa, Fault.truncated(matching=True)):
        response = api.get("/healthz")
    assert response.content == body
    with pytest.raises(requests.JSONDecodeError):
        response.json()


def test_a_slow_body_and_slow_headers_are_whole_in_the_end(dspa, api):
    whole = api.get("/healthz").content
    for fault in (Fault.slow_body(0.001, piece=5), Fault.slow_headers(0.001, piece=5)):
        assert ask(dspa, fault).endswith(whole)


@pytest.mark.parametrize(("make", "end"), [(Fault.slow_body, b"\r\n\r\n"), (Fault.slow_headers, b"")])
def test_what_is_slow_comes_in_pieces(dspa, make, end):
    with failing(dspa, make(600, piece=5)), dial(dspa) as connection:
        connection.sendall(HEALTH)
        found = b""
        while end not in found or len(found.rpartition(end)[2] if end else found) < 5:
            found += connection.recv(1)
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_huge_body(dspa, api, chunked):
    with failing(dspa, Fault.huge(3, chunked=chunked)):
        response = api.get("/runs")
    assert len(response.json()["padding"]) == 3 << 20
    assert ("Content-Length" in response.headers) != chunked


def test_a_fault_may_choose_its_requests(dspa, api):
    dspa.fault = lambda request: (
        Fault.unauthorized() if (request.kind, request.number) == ("get_run", 3) else None
    )
    run_id = api.begin()["run_id"]
    assert [api.get(f"/runs/{run_id}").status_code for _ in range(3)] == [200, 401, 200]
    assert dspa.runs[run_id].gets == 2

"""A model is not run where something answers or a credential lies about; what was tried is told."""

import socket
import threading

import pytest
from judged import refused
from servers import closed_port, silent_port

from ml.core.errors import PlatformError, UsageError
from ml.judge import isolation
from ml.judge.isolation import require_isolation

UNKNOWN = "no address known here"
HOST, PORT = "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """Let there be no resolver and no token, and let nothing wait for long."""
    monkeypatch.setattr(isolation, "RESOLVER", tmp_path / "resolv.conf")
    monkeypatch.setattr(isolation, "TOKENS", (tmp_path / "token",))
    monkeypatch.setattr(isolation, "SECONDS", 0.3)


def test_what_came_of_each_try_is_told(tmp_path):
    assert require_isolation("", {}) == {"api-server": UNKNOWN, "dns": UNKNOWN, "store": UNKNOWN}
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    with silent_port(connects=False) as silent:
        there = {HOST: "127.0.0.1", PORT: str(closed_port())}
        tried = require_isolation(f"127.0.0.1:{silent}", there)
    assert tried["api-server 127.0.0.1"] == "Connection refused"
    assert tried["store 127.0.0.1"] == "no answer in 0.3 s"
    assert {name for name in tried if name.startswith("dns")} == {"dns udp 127.0.0.1", "dns tcp 127.0.0.1"}
    assert require_isolation("store.invalid:443", {})["store store.invalid"] not in ("answered", UNKNOWN)


def test_an_api_server_or_a_store_that_answers_is_named():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        there = {HOST: "127.0.0.1", PORT: str(port)}
        told = "where these answer: {} 127.0.0.1; measure in the Task `measure`"
        refused(PlatformError, told.format("api-server"), require_isolation, "", there)
        refused(PlatformError, told.format("store"), require_isolation, f"127.0.0.1:{port}", {})


def test_a_resolver_that_answers_is_named(monkeypatch, tmp_path):
    (tmp_path / "resolv.conf").write_text("# made up\nsearch svc.local\nnameserver 127.0.0.1\n")
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)

        def answer() -> None:
            question, client = server.recvfrom(512)
            server.sendto(question[:2] + b"\x81\x80" + question[4:], client)

        thread = threading.Thread(target=answer)
        thread.start()
        places, port = isolation._resolvers, server.getsockname()[1]
        monkeypatch.setattr(isolation, "_resolvers", lambda: [(*place[:3], port) for place in places()])
        refused(PlatformError, "these answer: dns udp 127.0.0.1; ", require_isolation, "", {})
        thread.join()


@pytest.mark.parametrize(
    "name",
    """AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_WEB_IDENTITY_TOKEN_FILE KUBECONFIG
    AWS_CONTAINER_CREDENTIALS_FULL_URI GITHUB_TOKEN DB_PASSWORD token""".split(),
)
def test_a_credential_is_named_and_not_told_and_an_address_is_none(name, tmp_path):
    given = {"AWS_ENDPOINT_URL": "http://store", "AWS_REGION": "x", "GITLAB_TOKEN": "", "PATH": "/bin"}
    require_isolation("", given)
    if name == "token":
        (tmp_path / name).write_text("hunter2")
    else:
        given[name] = "hunter2"
    line = refused(UsageError, rf"beside credentials \(\S*{name}\): measure", require_isolation, "", given)
    assert "hunter2" not in line

"""A model is not run where something answers or a credential lies about; what was tried is told."""

import socket
import threading

import pytest
from servers import closed_port, silent_port

from ml.core.errors import PlatformError, UsageError
from ml.judge import isolation
from ml.judge.isolation import require_isolation


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """Let there be no resolver and no token, and let nothing wait for long."""
    monkeypatch.setattr(isolation, "RESOLVER", tmp_path / "resolv.conf")
    monkeypatch.setattr(isolation, "TOKENS", (tmp_path / "token",))
    monkeypatch.setattr(isolation, "SECONDS", 0.3)


@pytest.fixture
def listener():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def at(port: int) -> dict[str, str]:
    return {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(port)}


def refused(kind, store="", environment=()) -> str:
    with pytest.raises(kind) as caught:
        require_isolation(store, dict(environment))
    line = str(caught.value)
    assert "\n" not in line
    assert "the Task `measure`" in line
    return line


def test_what_came_of_each_try_is_told(tmp_path):
    unknown = "no address known here"
    assert require_isolation("", {}) == {"api-server": unknown, "dns": unknown, "store": unknown}
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    with silent_port(connects=False) as silent:
        tried = require_isolation(f"127.0.0.1:{silent}", at(closed_port()))
    assert tried["api-server 127.0.0.1"] == "Connection refused"
    assert tried["store 127.0.0.1"] == "no answer in 0.3 s"
    assert {name for name in tried if name.startswith("dns")} == {"dns udp 127.0.0.1", "dns tcp 127.0.0.1"}
    tried = require_isolation("store.invalid:443", {})
    assert tried["store store.invalid"] not in ("answered", unknown)


def test_an_api_server_or_a_store_that_answers_is_named(listener):
    assert "where these answer: api-server 127.0.0.1" in refused(PlatformError, "", at(listener))
    assert "where these answer: store 127.0.0.1" in refused(PlatformError, f"127.0.0.1:{listener}")


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
        assert "dns udp 127.0.0.1" in refused(PlatformError)
        thread.join()


@pytest.mark.parametrize(
    "name",
    """AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_WEB_IDENTITY_TOKEN_FILE KUBECONFIG
    AWS_CONTAINER_CREDENTIALS_FULL_URI GITHUB_TOKEN DB_PASSWORD""".split(),
)
def test_a_credential_in_the_environment_is_named_and_not_told(name):
    line = refused(UsageError, "", {name: "hunter2", "PATH": "/bin"})
    assert f"({name})" in line
    assert "hunter2" not in line


def test_an_address_in_the_environment_is_no_credential_and_an_accounts_token_is_one(tmp_path):
    addresses = {"AWS_ENDPOINT_URL": "http://store", "AWS_REGION": "x", "AWS_ACCESS_KEY_ID": ""}
    require_isolation("", addresses)
    (tmp_path / "token").write_text("hunter2")
    line = refused(UsageError, "", addresses)
    assert str(tmp_path / "token") in line
    assert "hunter2" not in line

"""A registry on loopback that tests configure: manifests, blobs, logins, tokens, and every fault."""

import base64
import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

import pytest
from servers import http_server

from ml.core.errors import PlatformError
from ml.image.registry import Registry

DIGEST = f"sha256:{'d' * 64}"
LOGIN = "robot:canary-8c1f"
NAME, TAG = "team/jukebox/build", "1a2b"
TOKEN = "token-canary-77"
ABSENT = json.dumps({"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}).encode()


def encoded(login: str = LOGIN) -> str:
    """Encode user:password as Docker's configuration does."""
    return base64.b64encode(login.encode()).decode()


@dataclass
class Double:
    """What the registry has, how it behaves, and what it was asked."""

    held: dict[str, bytes] = field(default_factory=dict)  # by path
    digests: dict[str, str] = field(default_factory=dict)  # by path, the header Docker-Content-Digest
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    locked: bool = False  # whether a token is required
    anonymous: bool = False  # whether tokens are issued without a login
    challenge: str = 'Bearer realm="{realm}",service="it",scope="{scope}",error="invalid_token"'
    scope: str = f"repository:{NAME}:pull"
    token: tuple[int, object] = (200, {"token": TOKEN})
    faults: dict[str, tuple] = field(default_factory=dict)  # by pattern of "METHOD path", the answer instead
    answers: int = 0  # requests before the faults
    location: str = "/v2/team/component/blobs/uploads/1?state=x"
    mounts: bool = False
    url: str = ""

    @property
    def host(self) -> str:
        return self.url.partition("://")[2]

    @property
    def paths(self) -> list[str]:
        return [asked for asked, _ in self.asked]

    def hold(self, name: str, tag: str, digest: str = DIGEST) -> None:
        path = f"/v2/{name}/manifests/{tag}"
        self.held[path], self.digests[path] = b"{}", digest

    def answer(self, method: str, path: str, login: str | None, body: bytes) -> tuple[int, dict, bytes]:
        if path.startswith("/token"):
            status, data = self.token if self.anonymous or login == f"Basic {encoded()}" else (401, {})
            return status, {}, data if isinstance(data, bytes) else json.dumps(data).encode()
        for pattern, fault in self.faults.items():
            if len(self.asked) > self.answers and re.match(pattern, f"{method} {path}"):
                return fault
        if self.locked and login != f"Bearer {TOKEN}":
            challenge = self.challenge.format(realm=f"{self.url}/token", scope=self.scope)
            return 401, {"WWW-Authenticate": challenge}, b"{}"
        if method == "POST":
            return 201 if self.mounts and "mount=" in path else 202, {"Location": self.location}, b""
        if method == "PUT":
            digest = path.partition("digest=")[2]
            self.held[f"/v2/team/component/blobs/{digest}" if digest else path] = body
            return 201, {}, b""
        if path not in self.held:
            return 404, {"Content-Type": "application/json"}, ABSENT
        return 200, {"Docker-Content-Digest": self.digests.get(path, "")}, self.held[path]


@contextlib.contextmanager
def serving_registry(context=None) -> Iterator[Double]:
    """Serve a registry, over TLS with an SSL context."""
    double = Double()

    class Handler(BaseHTTPRequestHandler):
        def serve(self):
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            double.asked.append((f"{self.command} {self.path}", headers))
            status, more, data = double.answer(self.command, self.path, headers.get("authorization"), body)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **more}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def log_message(self, *_):
            pass

    for verb in ("GET", "HEAD", "POST", "PUT"):
        setattr(Handler, f"do_{verb}", Handler.serve)
    with http_server(Handler, context) as double.url:
        yield double


def query_of(asked: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(asked.partition(" ")[2]).query)


def digest_at(host: str, **settings) -> str | None:
    """Look an image up, with a login over plain HTTP but for the settings."""
    settings = {"insecure": True, "logins": {host: encoded()}, **settings}
    return Registry(**settings).digest(f"{host}/{NAME}:{TAG}")


def failure(host: str, **settings) -> str:
    """Check that a look-up fails in one line that names the image and no password, and return the line."""
    with pytest.raises(PlatformError) as caught:
        digest_at(host, **settings)
    text = str(caught.value)
    assert text.startswith(f"cannot look up {host}/{NAME}:{TAG}: ")
    assert text.isprintable()
    assert_no_secret(text)
    return text


def assert_no_secret(text: str) -> None:
    for secret in (LOGIN.partition(":")[2], TOKEN, encoded()):
        assert secret not in text

"""A registry on loopback that tests tell what to answer: manifests, logins, tokens, and every fault."""

import base64
import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from servers import http_server

from ml.core.errors import PlatformError
from ml.image.registry import Registry

DIGEST = f"sha256:{'d' * 64}"
LOGIN = "robot:canary-8c1f"
PASSWORD = LOGIN.partition(":")[2]
NAME, TAG = "team/jukebox/build", "1a2b"
TOKEN = "token-canary-77"
ABSENT = json.dumps({"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}).encode()


def encoded(login: str = LOGIN) -> str:
    """Encode user:password as Docker's configuration does."""
    return base64.b64encode(login.encode()).decode()


@dataclass
class Shelf:
    """What the registry holds, how it behaves, and what it was asked."""

    images: dict[str, str] = field(default_factory=dict)
    auth: str = ""  # "", "basic" or "bearer"
    anonymous: bool = False  # whether tokens are given without a login
    realm: str = ""
    challenge: str = ""
    token: Any = field(default_factory=lambda: {"token": TOKEN})
    token_status: int = 200
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"no"
    answers: int = 1 << 30  # requests that are answered as they should be, before `status`
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    host: str = ""

    def hold(self, name: str, tag: str, digest: str = DIGEST) -> None:
        self.images[f"/v2/{name}/manifests/{tag}"] = digest

    @property
    def paths(self) -> list[str]:
        return [what for what, _ in self.asked]


@contextlib.contextmanager
def serving_registry(shelf: Shelf, context=None) -> Iterator[Shelf]:
    """Serve it, with an SSL context over TLS; ``shelf.host`` is where."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.answer(with_body=False)

        def do_GET(self):
            self.answer(with_body=True)

        def answer(self, *, with_body):
            headers = {name.lower(): value for name, value in self.headers.items()}
            shelf.asked.append((f"{self.command} {self.path}", headers))
            status, found, data = self.decide(headers.get("authorization", ""))
            self.send_response(status)
            for name, value in found.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if with_body:
                self.wfile.write(data)

        def decide(self, authorization):
            if self.path.startswith("/token"):
                allowed = shelf.anonymous or authorization == f"Basic {encoded()}"
                told = shelf.token if isinstance(shelf.token, bytes) else json.dumps(shelf.token).encode()
                return (shelf.token_status, {}, told) if allowed else (401, {}, b'{"details": "no"}')
            if shelf.status and len(shelf.asked) > shelf.answers:
                return shelf.status, shelf.headers, shelf.body
            expected = {"basic": f"Basic {encoded()}", "bearer": f"Bearer {TOKEN}"}.get(shelf.auth)
            if expected and authorization != expected:
                return 401, {"WWW-Authenticate": self.challenge()}, b"{}"
            digest = shelf.images.get(self.path)
            if digest is None:
                return 404, {"Content-Type": "application/json"}, ABSENT
            return 200, {"Docker-Content-Digest": digest} if digest else {}, b"{}"

        def challenge(self):
            if shelf.auth == "basic":
                return 'Basic realm="registry"'
            realm = shelf.realm or f"{scheme}://{shelf.host}/token"
            name = self.path.removeprefix("/v2/").partition("/manifests/")[0]
            return shelf.challenge.format(realm=realm) or (
                f'Bearer realm="{realm}",service="it",scope="repository:{name}:pull",error="invalid_token"'
            )

        def log_message(self, *_):
            pass

    with http_server(Handler, context) as url:
        scheme, _, shelf.host = url.partition("://")
        yield shelf


def query_of(asked: str) -> dict[str, list[str]]:
    """Return the query of what was asked."""
    return parse_qs(urlsplit(asked.partition(" ")[2]).query)


def reference(shelf) -> str:
    return f"{shelf.host}/{NAME}:{TAG}"


def ask(shelf, logins=(), **settings) -> str | None:
    return Registry(insecure=True, logins=dict(logins), **settings).digest(reference(shelf))


def failure(host: str, registry: Registry) -> str:
    """Check that asking fails in one line that names the image and no password, and return the line."""
    with pytest.raises(PlatformError) as caught:
        registry.digest(f"{host}/{NAME}:{TAG}")
    text = str(caught.value)
    assert text.startswith(f"cannot look up {host}/{NAME}:{TAG}: ")
    assert text.isprintable()
    for secret in (PASSWORD, TOKEN, encoded()):
        assert secret not in text
        assert secret not in repr(registry)
    return text

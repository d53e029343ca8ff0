"""A registry on loopback that tests configure: manifests, blobs, logins, tokens, and every fault."""

import base64
import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from servers import http_server

DIGEST = f"sha256:{'d' * 64}"
LOGIN, TOKEN = "robot:canary-8c1f", "token-canary-77"
CHALLENGE = 'Bearer realm="{}",service="it",scope="repository:a:pull,push repository:b:pull",error="x"'


def encoded(login: str = LOGIN) -> str:
    """Encode user:password as Docker's configuration does."""
    return base64.b64encode(login.encode()).decode()


@dataclass
class Double:
    """What the registry has, how it behaves, and what it was asked."""

    held: dict[str, bytes] = field(default_factory=dict)  # by path
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    challenge: str = ""  # "" requires no token, {} is the address for tokens
    login: str | None = f"Basic {encoded()}"  # what a token is issued for
    token: tuple[int, object] = (200, {"token": TOKEN})
    faults: dict[str, tuple] = field(default_factory=dict)  # by pattern of "METHOD path", the answer instead
    location: str = "/v2/team/component/blobs/uploads/1?state=x"
    mounts: bool = False
    host: str = ""

    def hold(self, name: str) -> None:
        self.held["/v2/{}/manifests/{}".format(*name.split(":"))] = b"{}"

    def lock(
        self, challenge: str = 'Bearer realm="http://{host}/token",service="it",scope="{scope}"'
    ) -> None:
        self.challenge = challenge

    def answer(self, method: str, path: str, login: str | None, body: bytes) -> tuple[int, dict, bytes]:
        if path.startswith("/token"):
            status, data = self.token if login == self.login else (401, {})
            return status, {}, data if isinstance(data, bytes) else json.dumps(data).encode()
        for pattern, fault in self.faults.items():
            if re.match(pattern, f"{method} {path}"):
                return fault
        if self.challenge and login != f"Bearer {TOKEN}":
            return 401, {"WWW-Authenticate": self.challenge.format(f"http://{self.host}/token")}, b"{}"
        if method == "POST":
            return 201 if self.mounts and "mount=" in path else 202, {"Location": self.location}, b""
        if method == "PUT":
            digest = path.partition("digest=")[2]
            self.held[f"/v2/team/component/blobs/{digest}" if digest else path] = body
            return 201, {}, b""
        if path not in self.held:
            return 404, {}, b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}'
        return 200, {"Docker-Content-Digest": DIGEST}, self.held[path]


@contextlib.contextmanager
def serving_registry(context=None) -> Iterator[Double]:
    """Serve a registry, over TLS with an SSL context."""
    double = Double()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            double.asked.append(f"{self.command} {self.path}")
            double.headers.append(headers)
            status, more, data = double.answer(self.command, self.path, headers.get("authorization"), body)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **more}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    with http_server(Handler, context) as url:
        double.host = url.partition("://")[2]
        yield double


def assert_no_secret(text: str) -> None:
    for secret in (LOGIN.partition(":")[2], TOKEN, encoded()):
        assert secret not in text

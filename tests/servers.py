"""Servers on loopback: HTTP with typical behaviour and faults, and the S3 API."""

import contextlib
import hashlib
import json
import socket
import ssl
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """What a server serves, how it behaves, and the requests that it got."""

    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    etags: bool = True
    status: int = 200
    head_status: int = 200
    cut_off: bool = False
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""


@contextlib.contextmanager
def serving(site: Site, certificate=None) -> Iterator[Site]:
    """Serve a site, over TLS with a certificate of trustme; ``site.url`` is its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path, head = self.path.partition("?")[0], self.command == "HEAD"
            site.asked.append(f"{self.command} {self.path}")
            site.headers.append({name.lower(): value for name, value in self.headers.items()})
            status = site.head_status if head else site.status
            status = 302 if path in site.redirects else status if path in site.files else 404
            data = {302: b"", 200: site.files.get(path)}.get(status, b"no")
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            if status == 302:
                self.send_header("Location", site.redirects[path])
            if site.etags and status == 200:
                self.send_header("ETag", f'"{hashlib.md5(data).hexdigest()}"')
            self.end_headers()
            if not head:
                self.wfile.write(data[: len(data) // 2] if site.cut_off else data)

        do_HEAD = do_PUT = do_POST = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    with http_server(Handler, tls(certificate) if certificate else None) as site.url:
        yield site


@contextlib.contextmanager
def http_server(handler, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve with a handler, over TLS with a context; yields the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    with _running(server):
        yield f"http{'s' if context else ''}://127.0.0.1:{server.server_port}"


@contextlib.contextmanager
def _running(server):
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def tls(certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@contextlib.contextmanager
def s3_server(certificate=None, ignores: tuple[str, ...] = ()) -> Iterator[dict[str, str]]:
    """Serve the S3 API with a bucket named ``bucket``; yields the AWS_* variables for it.

    All such servers of a process have the same buckets, users and roles. With a certificate of trustme, they
    speak TLS. Request headers in ``ignores``, by their WSGI names, are dropped.
    """
    from moto.backends import get_backend
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication as Application
    from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    application = Application(create_backend_app)

    def answer(environ, start_response):
        kept = {name: value for name, value in environ.items() if name not in ignores}
        return application(kept, start_response)

    context = tls(certificate) if certificate else None
    options = {"request_handler": MotoRequestHandler, "ssl_context": context}
    server = make_server("127.0.0.1", 0, answer, threaded=True, **options)
    backend = get_backend("s3")[DEFAULT_ACCOUNT_ID]["aws"]
    if "bucket" not in backend.buckets:
        backend.create_bucket("bucket", "us-east-1")
    with _running(server):
        yield {
            "AWS_ENDPOINT_URL": f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}",
            "AWS_ACCESS_KEY_ID": "someone",
            "AWS_SECRET_ACCESS_KEY": "something",
            "AWS_REGION": "us-east-1",
        }


@contextlib.contextmanager
def only_allowed(policy: dict) -> Iterator[dict[str, str]]:
    """Let all S3 servers check signatures and rights; yields the keys of a user with a policy."""
    from moto import settings
    from moto.backends import get_backend
    from moto.core import DEFAULT_ACCOUNT_ID

    users, name = get_backend("iam")[DEFAULT_ACCOUNT_ID]["aws"], uuid.uuid4().hex
    users.create_user("us-east-1", name)
    users.put_user_policy(name, "rights", json.dumps(policy))
    key = users.create_access_key(name)
    before, settings.INITIAL_NO_AUTH_ACTION_COUNT = settings.INITIAL_NO_AUTH_ACTION_COUNT, 0
    try:
        yield {"AWS_ACCESS_KEY_ID": key.access_key_id, "AWS_SECRET_ACCESS_KEY": key.secret_access_key}
    finally:
        settings.INITIAL_NO_AUTH_ACTION_COUNT = before


@contextlib.contextmanager
def silent_port(*, connects: bool) -> Iterator[int]:
    """Listen on a port that accepts connections and never answers, or does not accept any."""
    with contextlib.ExitStack() as sockets:
        server = sockets.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(100 if connects else 0)
        if not connects:
            for _ in range(3):
                waiting = sockets.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(server.getsockname())
        yield server.getsockname()[1]


def closed_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

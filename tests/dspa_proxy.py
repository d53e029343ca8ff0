"""Servers between a client and the DSPA: a proxy that refuses or strips, and a server of raw bytes."""

import contextlib
import http.client
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

Answer = tuple[int, dict[str, str], bytes]
HOP = {"connection", "transfer-encoding", "content-length", "host", "keep-alive", "date", "server"}


@dataclass
class Proxy:
    """A reverse proxy; ``refuse`` may answer a request itself, ``strip`` are headers that it drops."""

    target: str
    refuse: Callable[[str, str, dict[str, str]], Answer | None] | None = None
    strip: set[str] = field(default_factory=set)
    seen: list[str] = field(default_factory=list)
    url: str = ""


def _context(certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@contextlib.contextmanager
def proxying(proxy: Proxy, certificate=None) -> Iterator[Proxy]:
    """Serve a proxy on loopback, over TLS with trustme's certificate."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            proxy.seen.append(f"{self.command} {self.path}")
            refusal = proxy.refuse and proxy.refuse(self.command, self.path, dict(self.headers))
            self.answer(*(refusal or self.ask(body)))

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = forward  # noqa: N815

        def ask(self, body: bytes) -> Answer:
            dropped = HOP | proxy.strip
            headers = {k: v for k, v in self.headers.items() if k.lower() not in dropped}
            headers |= {"Host": self.headers["Host"], "Content-Length": str(len(body))}
            target = http.client.HTTPConnection(urlsplit(proxy.target).netloc, timeout=30)
            target.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for key, value in headers.items():
                target.putheader(key, value)
            target.endheaders(body)
            with contextlib.closing(target):
                answer = target.getresponse()
                return answer.status, dict(answer.getheaders()), answer.read()

        def answer(self, status: int, headers: dict[str, str], body: bytes):
            self.send_response(status)
            for key, value in headers.items():
                if key.lower() not in HOP:
                    self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None
    if certificate is not None:
        server.socket = _context(certificate).wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    proxy.url = f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Wire:
    """A server of raw bytes, and the requests that it got."""

    url: str
    asked: list[bytes] = field(default_factory=list)


@contextlib.contextmanager
def raw_server(answer: bytes | Callable[[], Iterator[bytes]]) -> Iterator[Wire]:
    """Answer the one request of each connection with bytes, and close."""
    server = socket.create_server(("127.0.0.1", 0))
    wire = Wire(f"http://127.0.0.1:{server.getsockname()[1]}")

    def serve(stream: socket.socket):
        with contextlib.suppress(OSError), stream:
            stream.settimeout(20)
            wire.asked.append(stream.recv(1 << 16))
            for piece in [answer] if isinstance(answer, bytes) else answer():
                stream.sendall(piece)
            stream.shutdown(socket.SHUT_WR)
            # Closing with data unread would reset the connection, and what was sent with it.
            while stream.recv(1 << 16):
                pass

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield wire
    finally:
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


def http_answer(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    """Return an answer of JSON; ``content_type`` becomes Content-Type."""
    fields = {"content_type": "application/json", "content_length": str(len(body)), **headers}
    lines = [f"{name.replace('_', '-').title()}: {value}" for name, value in fields.items()]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode("latin-1") + body


def gzip_bomb(megabytes: int) -> Callable[[], Iterator[bytes]]:
    """Return a gzip stream of so many MB of zeros."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(1 << 20)
    first = packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH)

    def pieces() -> Iterator[bytes]:
        yield first
        for _ in range(megabytes - 1):
            yield block

    return pieces

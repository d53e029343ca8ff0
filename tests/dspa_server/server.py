"""The server: connections, TLS, the faults on the wire, and how it starts and stops."""

import contextlib
import json
import os
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from dspa_server.api import JSON, Answer, answer, classify
from dspa_server.faults import TEXT, Fault
from dspa_server.records import Request
from dspa_server.state import Dspa


class MistakeError(Exception):
    """The double, or a callback of the test, failed."""


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "Server"

    def handle_request(self) -> None:
        dspa = self.server.dspa
        try:
            request = self.read_request()
            with self.noting_mistakes():
                fault = dspa.fault(request) if dspa.fault else None
            if fault is None:
                self.send(self.respond(request))
            else:
                if fault.after:
                    self.respond(request)
                getattr(self, f"wire_{fault.kind}")(fault, request)
        except OSError:
            self.close_connection = True
        except MistakeError as mistake:
            self.close_connection = True
            self.send(Answer(500, f"the double failed: {mistake}\n".encode(), {"Content-Type": TEXT}))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_request  # noqa: N815

    def read_request(self) -> Request:
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kind, ids = classify(self.command, path)
        values = dict(parse_qsl(query, keep_blank_values=True))
        dspa = self.server.dspa
        with dspa.lock:
            number = len(dspa.requests) + 1
            request = Request(number, self.command, path, values, self.headers, body, kind, ids)
            dspa.requests.append(request)
        return request

    @contextlib.contextmanager
    def noting_mistakes(self) -> Iterator[None]:
        """Keep an error of the double or of a test's callback for the test."""
        try:
            yield
        except Exception as error:
            self.server.dspa.errors.append(error)
            raise MistakeError(f"{type(error).__name__}: {error}") from error

    def respond(self, request: Request) -> Answer:
        with self.noting_mistakes():
            return answer(self.server.dspa, request)

    def head(self, answer: Answer, framing: str = "") -> bytes:
        """Return the status line and the headers."""
        lines = [f"HTTP/1.1 {answer.code} {responses.get(answer.code, 'Unknown')}"]
        now = time.time() + self.server.dspa.clock_skew
        headers = {"Date": self.date_time_string(int(now)), **answer.headers}
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [framing or f"Content-Length: {len(answer.body)}"]
        lines += ["Connection: close"] if self.close_connection else []
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def send(self, answer: Answer) -> None:
        self.wfile.write(self.head(answer) + (b"" if self.command == "HEAD" else answer.body))

    def drip(self, data: bytes, fault: Fault) -> None:
        """Send data in pieces with pauses between them."""
        for start in range(0, len(data), fault.size):
            if start:
                self.pause(fault.seconds)
            self.wfile.write(data[start : start + fault.size])

    def pause(self, seconds: float) -> None:
        if self.server.dspa.stopping.wait(seconds):
            raise ConnectionAbortedError

    def wire_reset(self, *_: Any) -> None:
        """Close the connection by a RST, below TLS."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        os.close(self.connection.detach())

    def wire_close(self, *_: Any) -> None:
        self.close_connection = True

    def wire_hang(self, fault: Fault, _: Request) -> None:
        self.close_connection = True
        self.pause(fault.seconds)

    def wire_status(self, fault: Fault, _: Request) -> None:
        self.send(Answer(fault.code, fault.body, fault.headers))

    def wire_late_commit(self, fault: Fault, request: Request) -> None:
        def later() -> None:
            if not self.server.dspa.stopping.wait(fault.seconds):
                with contextlib.suppress(MistakeError):
                    self.respond(request)

        threading.Thread(target=later, daemon=True).start()
        if fault.flag:
            self.wire_reset()
        else:
            self.wire_status(Fault.gateway_timeout(), request)

    def wire_slow_body(self, fault: Fault, request: Request) -> None:
        right = self.respond(request)
        self.wfile.write(self.head(right))
        self.drip(right.body, fault)

    def wire_slow_headers(self, fault: Fault, request: Request) -> None:
        right = self.respond(request)
        self.drip(self.head(right), fault)
        self.wfile.write(right.body)

    def wire_truncated(self, fault: Fault, request: Request) -> None:
        right = self.respond(request)
        half = right.body[: len(right.body) // 2]
        self.close_connection = self.close_connection or not fault.flag
        self.wfile.write(
            self.head(Answer(right.code, half if fault.flag else right.body, right.headers)) + half
        )

    def wire_edited(self, fault: Fault, request: Request) -> None:
        right = self.respond(request)
        with self.noting_mistakes():
            edited = fault.edit(json.loads(right.body)) if fault.edit else None
        self.send(Answer(right.code, json.dumps(edited).encode(), right.headers))

    def wire_huge(self, fault: Fault, _: Request) -> None:
        pieces = [b'{"padding": "', *[b"x" * (1 << 20)] * fault.size, b'"}']
        framing = "Transfer-Encoding: chunked" if fault.flag else f"Content-Length: {sum(map(len, pieces))}"
        self.wfile.write(self.head(Answer(200, b"", JSON), framing))
        for data in [*pieces, b""] if fault.flag else pieces:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data) if fault.flag else data)

    def log_message(self, *_: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Accepts connections, each in a daemon thread, and can drop them all."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, dspa: Dspa, context: ssl.SSLContext | None, port: int, address: str = "127.0.0.1"):
        super().__init__((address, port), Handler)
        self.dspa, self.context = dspa, context
        self.open: set[socket.socket] = set()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        self.open.add(request)
        try:
            if self.context:
                raw, request = request, self.context.wrap_socket(request, server_side=True)
                self.open.discard(raw)
                self.open.add(request)
            self.finish_request(request, client_address)
        except OSError:
            pass
        except ValueError as error:
            if not self.dspa.stopping.is_set():
                self.dspa.errors.append(error)
        finally:
            self.open.discard(request)
            self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().shutdown_request(request)

    def drop(self) -> None:
        """Close every connection."""
        for connection in list(self.open):
            with contextlib.suppress(OSError, ValueError):
                connection.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def serving(dspa: Dspa, ca: Any = None, port: int = 0) -> Iterator[Dspa]:
    """Serve on loopback at ``dspa.url``, and raise what failed in the double or in a test's callback.

    Args:
        dspa: the server's state and settings.
        ca: a ``trustme.CA`` makes it HTTPS, with a certificate for localhost and 127.0.0.1.
        port: 0 takes any; another restarts a server at the same port.
    """
    context = None
    if ca is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    server = Server(dspa, context, port)
    dspa.url = f"{'https://localhost' if ca else 'http://127.0.0.1'}:{server.server_port}"
    dspa.stopping.clear()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield dspa
    finally:
        dspa.stop()
        server.shutdown()
        server.drop()
        server.server_close()
        thread.join()
    if dspa.errors:
        raise dspa.errors[0]

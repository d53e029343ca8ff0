"""The server: connections, TLS, the faults on the wire, and how it starts and stops."""

import contextlib
import json
import os
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

from dspa_server.api import JSON, Answer, answer, classify
from dspa_server.faults import Fault
from dspa_server.records import Request
from dspa_server.state import Dspa


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "Server"

    def setup(self):
        self.server.open.add(self.request)
        if self.server.context:
            self.request = self.server.context.wrap_socket(self.request, server_side=True)
            self.server.open.add(self.request)
        super().setup()

    def finish(self):
        super().finish()
        self.server.open.discard(self.request)
        self.request.close()

    def handle_request(self):
        dspa = self.server.dspa
        try:
            request = self.read_request()
            fault = dspa.fault(request) if dspa.fault else None
            if fault is None:
                self.send(answer(self.server.dspa, request))
            else:
                if fault.after:
                    answer(self.server.dspa, request)
                getattr(self, f"wire_{fault.kind}")(fault, request)
        except (ConnectionError, TimeoutError, ssl.SSLError):
            self.close_connection = True
        except Exception as error:
            # The double, or a callback of the test, failed.
            dspa.errors.append(error)
            self.close_connection = True
            self.send(Answer(500, f"the double failed: {error!r}\n".encode()))

    do_GET = do_POST = do_DELETE = handle_request  # noqa: N815

    def read_request(self) -> Request:
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        values, dspa = dict(parse_qsl(query, keep_blank_values=True)), self.server.dspa
        with dspa.lock:
            called = (self.command, path, values, self.headers, body, *classify(self.command, path))
            dspa.requests.append(Request(len(dspa.requests) + 1, *called))
            return dspa.requests[-1]

    def head(self, right: Answer, framing="") -> bytes:
        """Return the status line and the headers."""
        now = int(time.time() + self.server.dspa.clock_skew)
        lines = [f"HTTP/1.1 {right.code} {self.responses[right.code][0]}"]
        headers = {"Date": self.date_time_string(now), **right.headers}
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [framing or f"Content-Length: {len(right.body)}"]
        lines += ["Connection: close"] if self.close_connection else []
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def send(self, right: Answer):
        self.wfile.write(self.head(right) + right.body)

    def pause(self, seconds: float):
        if self.server.dspa.stopping.wait(seconds):
            raise ConnectionAbortedError

    def wire_reset(self, *_):
        """Close the connection by a RST, below TLS."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        os.close(self.connection.detach())

    def wire_hang(self, fault, _):
        self.close_connection = True
        self.pause(fault.seconds)

    def wire_status(self, fault, _):
        self.send(Answer(fault.code, fault.body, fault.headers))

    def wire_late_commit(self, fault, request):
        dspa = self.server.dspa

        def later():
            try:
                if not dspa.stopping.wait(fault.seconds):
                    answer(dspa, request)
            except Exception as error:
                dspa.errors.append(error)

        threading.Thread(target=later, daemon=True).start()
        if fault.flag:
            self.wire_reset()
        else:
            self.wire_status(Fault.gateway_timeout(), request)

    def wire_slow(self, fault, request):
        right = answer(self.server.dspa, request)
        head = self.head(right)
        quick, slow, rest = (b"", head, right.body) if fault.flag else (head, right.body, b"")
        self.wfile.write(quick)
        for start in range(0, len(slow), fault.size):
            self.wfile.write(slow[start : start + fault.size])
            self.pause(fault.seconds)
        self.wfile.write(rest)

    def wire_truncated(self, fault, request):
        right = answer(self.server.dspa, request)
        half = right.body[: len(right.body) // 2]
        self.close_connection = self.close_connection or not fault.flag
        told = half if fault.flag else right.body
        self.wfile.write(self.head(Answer(right.code, told, right.headers)) + half)

    def wire_edited(self, fault, request):
        right = answer(self.server.dspa, request)
        self.send(Answer(right.code, json.dumps(fault.edit(json.loads(right.body))).encode(), right.headers))

    def wire_huge(self, fault, _):
        pieces = [b'{"padding": "', *[b"x" * (1 << 20)] * fault.size, b'"}']
        framing = "Transfer-Encoding: chunked" if fault.flag else f"Content-Length: {sum(map(len, pieces))}"
        self.wfile.write(self.head(Answer(200, b"", JSON), framing))
        for data in [*pieces, b""] if fault.flag else pieces:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data) if fault.flag else data)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    """Accepts connections, each in a daemon thread, and knows which are open."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, dspa: Dspa, context: ssl.SSLContext | None, port: int, address="127.0.0.1"):
        super().__init__((address, port), Handler)
        self.dspa, self.context = dspa, context
        self.open: set[socket.socket] = set()

    def handle_error(self, *_):
        """Keep an error that is not the network's."""
        error = sys.exception()
        if not isinstance(error, OSError) and not self.dspa.stopping.is_set():
            self.dspa.errors.append(error)


@contextlib.contextmanager
def serving(dspa: Dspa, ca=None, port=0) -> Iterator[Dspa]:
    """Serve on loopback at ``dspa.url``, and raise what failed in the double or in a test's callback.

    A ``trustme.CA`` makes it HTTPS, with a certificate for localhost and 127.0.0.1.
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
        for connection in list(server.open):
            with contextlib.suppress(OSError, ValueError):
                connection.shutdown(socket.SHUT_RDWR)
        server.server_close()
        thread.join()
    if dspa.errors:
        raise dspa.errors[0]

"""One connection on the wire: requests in, answers out, and the faults that happen there."""

import contextlib
import json
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from http.client import responses
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from dspa_server.faults import TEXT, Fault
from dspa_server.records import Request
from dspa_server.routes import Answer, answer, classify

if TYPE_CHECKING:
    from dspa_server.server import Server


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
                self.misbehave(fault, request)
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
        """Keep what goes wrong in the double or in a test's callback for the test to see."""
        try:
            yield
        except Exception as error:
            self.server.dspa.errors.append(error)
            raise MistakeError(f"{type(error).__name__}: {error}") from error

    def respond(self, request: Request) -> Answer:
        with self.noting_mistakes():
            return answer(self.server.dspa, request)

    def head(self, answer: Answer, framing: str) -> bytes:
        """Write the status line and the headers."""
        lines = [f"HTTP/1.1 {answer.code} {responses.get(answer.code, 'Unknown')}"]
        now = time.time() + self.server.dspa.clock_skew
        headers = {"Date": self.date_time_string(int(now)), **answer.headers}
        lines += [f"{name}: {value}" for name, value in headers.items()] + [framing]
        if self.close_connection:
            lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def send(self, answer: Answer) -> None:
        body = b"" if self.command == "HEAD" else answer.body
        self.wfile.write(self.head(answer, f"Content-Length: {len(answer.body)}") + body)

    def drip(self, data: bytes, fault: Fault) -> None:
        """Send data in pieces with pauses between them."""
        for start in range(0, len(data), fault.size):
            if start:
                self.pause(fault.seconds)
            self.wfile.write(data[start : start + fault.size])

    def pause(self, seconds: float) -> None:
        if self.server.dspa.stopping.wait(seconds):
            raise ConnectionAbortedError

    def reset(self) -> None:
        """Close the connection by a RST, past TLS."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        os.close(self.connection.detach())

    def misbehave(self, fault: Fault, request: Request) -> None:
        if fault.after:
            self.respond(request)
        getattr(self, f"wire_{fault.kind}")(fault, request)

    def wire_reset(self, *_: Any) -> None:
        self.reset()

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
            self.reset()
        else:
            timeout = Fault.gateway_timeout()
            self.send(Answer(timeout.code, timeout.body, timeout.headers))

    def wire_slow_body(self, fault: Fault, request: Request) -> None:
        found = self.respond(request)
        self.wfile.write(self.head(found, f"Content-Length: {len(found.body)}"))
        self.drip(found.body, fault)

    def wire_slow_headers(self, fault: Fault, request: Request) -> None:
        found = self.respond(request)
        self.drip(self.head(found, f"Content-Length: {len(found.body)}"), fault)
        self.wfile.write(found.body)

    def wire_truncated(self, fault: Fault, request: Request) -> None:
        found = self.respond(request)
        half = found.body[: len(found.body) // 2]
        self.close_connection = self.close_connection or not fault.flag
        length = len(half if fault.flag else found.body)
        self.wfile.write(self.head(found, f"Content-Length: {length}") + half)

    def wire_edited(self, fault: Fault, request: Request) -> None:
        found = self.respond(request)
        with self.noting_mistakes():
            edited = fault.edit(json.loads(found.body)) if fault.edit else None
        self.send(Answer(found.code, json.dumps(edited).encode(), found.headers))

    def wire_huge(self, fault: Fault, _: Request) -> None:
        start, piece, end = b'{"padding": "', b"x" * (1 << 20), b'"}'
        pieces = [start, *[piece] * fault.size, end]
        framing = "Transfer-Encoding: chunked" if fault.flag else f"Content-Length: {sum(map(len, pieces))}"
        self.wfile.write(self.head(Answer(200, b"", {"Content-Type": "application/json"}), framing))
        for data in pieces:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data) if fault.flag else data)
        if fault.flag:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: Any) -> None:
        pass

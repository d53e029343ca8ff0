"""The server: its listening socket, TLS, its connections, and how it starts and stops."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from typing import Any

from dspa_server.handler import Handler
from dspa_server.state import Dspa


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
def serving(dspa: Dspa, ca: Any = None, host: str | None = None, port: int = 0) -> Iterator[Dspa]:
    """Serve on loopback; ``dspa.url`` is where.

    Args:
        dspa: the server's state and settings.
        ca: a ``trustme.CA`` makes it HTTPS, with a certificate for localhost and 127.0.0.1.
        host: how the URL names it.
        port: 0 takes any; another restarts a server where it was.

    Raises:
        BaseException: what went wrong in the double or in a test's callback.
    """
    context = None
    if ca is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    server = Server(dspa, context, port)
    name = host or ("localhost" if ca else "127.0.0.1")
    dspa.url = f"{'https' if ca else 'http'}://{name}:{server.server_port}"
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

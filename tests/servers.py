"""Real servers on loopback: HTTP with the manners and the faults of real ones, and the S3 API."""

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """What the server serves, how it behaves, and what it was asked."""

    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    etags: bool = True
    status: int = 200
    head_status: int = 200
    cut_off: bool = False
    asked: list[str] = field(default_factory=list)
    url: str = ""


@contextlib.contextmanager
def serving(site: Site) -> Iterator[Site]:
    """Serve a site on loopback; ``site.url`` is where."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.answer(site.head_status)

        def do_GET(self):
            data = self.answer(site.status)
            if data:
                self.wfile.write(data[: len(data) // 2] if site.cut_off else data)

        def answer(self, status):
            path = self.path.partition("?")[0]
            site.asked.append(f"{self.command} {self.path}")
            if path in site.redirects:
                self.send_response(302)
                self.send_header("Location", site.redirects[path])
                self.send_header("Content-Length", "0")
                self.end_headers()
                return b""
            if path not in site.files:
                status = 404
            data = site.files.get(path, b"") if status == 200 else b"no"
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            if site.etags and status == 200:
                self.send_header("ETag", f'"{hashlib.md5(data).hexdigest()}"')
            self.end_headers()
            return data

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def s3_server() -> Iterator[dict[str, str]]:
    """Serve the S3 API with an empty bucket named ``bucket``; gives the environment that finds it."""
    import requests
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        requests.put(f"http://{host}:{port}/bucket", timeout=10).raise_for_status()
        yield {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "someone",
            "AWS_SECRET_ACCESS_KEY": "something",
            "AWS_REGION": "us-east-1",
        }
    finally:
        server.stop()


def closed_port() -> int:
    """Find a port on loopback on which nothing listens."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

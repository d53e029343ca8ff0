"""A forge's API on loopback: it records requests, and gives the answers of a list."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from servers import http_server

COMMIT = "1a2b3c4d" * 5
TOKEN = "glpat-canary_5e0c1d"
REPOSITORY = "https://forge.example/team/jukebox.git"


@dataclass
class Post:
    path: str
    headers: dict[str, str]
    body: dict[str, str]


@dataclass
class Api:
    """The answers, of which the last is repeated, and the requests."""

    answers: list[tuple[int, bytes]] = field(default_factory=lambda: [(201, b'{"id": 1}')])
    headers: dict[str, str] = field(default_factory=dict)
    posts: list[Post] = field(default_factory=list)
    url: str = ""

    @property
    def post(self) -> Post:
        """The only request."""
        (post,) = self.posts
        return post


@contextlib.contextmanager
def serving_forge(context=None) -> Iterator[Api]:
    """Serve a forge, over TLS with an SSL context."""
    api = Api()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            data = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            api.posts.append(Post(self.path, headers, json.loads(data)))
            status, body = api.answers.pop(0) if len(api.answers) > 1 else api.answers[0]
            self.send_response(status)
            for name, value in {**api.headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            api.posts.append(Post(self.path, {}, {}))
            self.send_error(500)

        def log_message(self, *_):
            pass

    with http_server(Handler, context) as api.url:
        yield api

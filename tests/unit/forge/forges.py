"""A forge's API on loopback: it records requests, and gives the answers of a list."""

import contextlib
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from types import SimpleNamespace

from servers import http_server

COMMIT, TOKEN, LINK = "1a2b3c4d" * 5, "glpat-canary_5e0c1d", "https://dspa.example/runs/1"
REPOSITORY = "https://forge.example/team/jukebox.git"


@contextlib.contextmanager
def serving_forge(context=None) -> Iterator[SimpleNamespace]:
    """Serve a forge, over TLS with an SSL context; the last of its answers is repeated."""
    api = SimpleNamespace(answers=[(201, b'{"id": 1}')], posts=[], url="")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            headers = {name.lower(): value for name, value in self.headers.items()}
            api.posts.append(SimpleNamespace(path=self.path, headers=headers, body=body))
            status, answer = api.answers.pop(0) if len(api.answers) > 1 else api.answers[0]
            self.send_response(status)
            self.send_header("Location", f"{api.url}/elsewhere")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    with http_server(Handler, context) as api.url:
        yield api

"""A Model Registry in memory, on loopback: the REST API of kubeflow/hub as far as it is used, with its traps.

Names are unique within kind and parent, without regard to case as on MariaDB. A PATCH without ``state``
resets it, and ``customProperties`` replaces all. The conformance suite runs against a real server as well.
"""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Json = dict[str, Any]
PLURALS = {"registered_models": "registered_model", "model_versions": "model_version"}
PLURALS["model_artifacts"] = "model_artifact"
RESET = {"registered_model": "LIVE", "model_version": "LIVE", "model_artifact": "UNKNOWN"}


@dataclass
class Registry:
    """The objects by kind, and what the server does wrong."""

    bases: tuple[str, ...] = ("/api/model_registry/v1", "/api/model_registry/v1alpha3")
    token: str = ""
    url: str = ""
    objects: list[tuple[str, str, Json]] = field(default_factory=list)
    """Kind, parent's id, object."""
    requests: list[str] = field(default_factory=list)
    fault: Callable[[str, bool], bool] = lambda _what, _before: False
    """Told of each request before and after it took effect; True closes the connection."""

    def named(self, kind: str, name: str, parent: str) -> Json | None:
        """Find an object by its name, in any case."""
        same = (one for k, p, one in self.objects if (k, p) == (kind, parent))
        return next((one for one in same if one["name"].lower() == name.lower()), None)

    def answer(self, method: str, path: str, query: dict[str, str], body: Json) -> tuple[int, Json]:
        """Return the status and the JSON of an answer."""
        parts = path.strip("/").split("/")
        if method == "GET" and len(parts) == 1 and parts[0] in RESET:
            found = self.named(parts[0], query["name"], query.get("parentResourceId", ""))
            return (200, found) if found else (404, {"message": f"no {parts[0]} found for name"})
        if method == "GET" and (len(parts) == 1 or parts[-1] == "versions"):
            kind, parent = ("model_version", parts[1]) if len(parts) == 3 else (PLURALS[parts[0]], "")
            return self._page([one for k, p, one in self.objects if (k, p) == (kind, parent)], query)
        if method == "PATCH":
            kind = PLURALS[parts[0]]
            one = next((one for k, _, one in self.objects if (k, one["id"]) == (kind, parts[1])), None)
            if one is None:
                return 404, {"message": f"no {kind} found for id"}
            one.update(
                {"state": RESET[kind], **{name: value for name, value in body.items() if value is not None}}
            )
            return 200, one
        kind = {"registered_models": "registered_model", "model_versions": "model_version"}[parts[0]]
        parent = str(body.get("registeredModelId", ""))
        if parts[-1] == "artifacts":
            kind, parent = "model_artifact", parts[1]
            if not any((k, one["id"]) == ("model_version", parent) for k, _, one in self.objects):
                return 404, {"message": "no model_version found for id"}
        if self.named(kind, body["name"], parent):
            return 409, {"code": "Conflict", "message": f"{kind} with name {body['name']} already exists"}
        made = {"state": "LIVE", "customProperties": {}, **body, "id": str(len(self.objects) + 1)}
        self.objects.append((kind, parent, made))
        return 201, made

    def _page(self, items: list[Json], query: dict[str, str]) -> tuple[int, Json]:
        start, size = int(query.get("nextPageToken") or 0), int(query.get("pageSize") or 0) or len(items)
        following = str(start + size) if start + size < len(items) else ""
        page = items[start : start + size]
        return 200, {"items": page, "size": len(page), "pageSize": size, "nextPageToken": following}


@contextlib.contextmanager
def registry_server(registry: Registry) -> Iterator[Registry]:
    """Serve a registry; ``url`` is its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            place = urlsplit(self.path)
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
            base = next((base for base in registry.bases if place.path.startswith(f"{base}/")), None)
            what = f"{self.command} {place.path.removeprefix(base or '')}"
            registry.requests.append(what)
            if registry.fault(what, True):
                self.close_connection = True
                return
            if registry.token and self.headers.get("Authorization") != f"Bearer {registry.token}":
                status, value = 401, {}
            elif base is None:
                status, value = 404, {}
            else:
                status, value = registry.answer(
                    self.command, place.path.removeprefix(base), dict(parse_qsl(place.query)), body
                )
            if registry.fault(what, False):
                self.close_connection = True
                return
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = _do  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        registry.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield registry
        finally:
            server.shutdown()

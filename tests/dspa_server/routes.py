"""Which path is which call, and the answer to any request that reached the server in one piece."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from dspa_server import experiments, runs, uploads
from dspa_server.errors import NOT_FOUND, UNIMPLEMENTED, ApiError
from dspa_server.faults import TEXT
from dspa_server.records import Request
from dspa_server.state import Dspa

PREFIX = "/apis/v2beta1"
ID = r"([^/:]+)"
Endpoint = Callable[[Dspa, Request], dict[str, Any]]
ROUTES: tuple[tuple[str, str, str, Endpoint], ...] = (
    ("GET", "/healthz", "healthz", experiments.healthz),
    ("GET", "/experiments", "list_experiments", experiments.list_experiments),
    ("POST", "/experiments", "create_experiment", experiments.create_experiment),
    ("GET", f"/experiments/{ID}", "get_experiment", experiments.get_experiment),
    ("POST", f"/experiments/{ID}:archive", "archive_experiment", experiments.archive_experiment),
    ("POST", f"/experiments/{ID}:unarchive", "unarchive_experiment", experiments.archive_experiment),
    ("GET", "/runs", "list_runs", runs.list_runs),
    ("POST", "/runs", "create_run", runs.create_run),
    ("GET", f"/runs/{ID}", "get_run", runs.get_run),
    ("DELETE", f"/runs/{ID}", "delete_run", runs.delete_run),
    ("POST", f"/runs/{ID}:terminate", "terminate", runs.terminate),
    ("POST", f"/runs/{ID}:retry", "retry", runs.retry),
    ("POST", f"/runs/{ID}:archive", "archive", runs.archive),
    ("POST", f"/runs/{ID}:unarchive", "unarchive", runs.archive),
    ("POST", "/pipelines/upload", "upload", uploads.upload),
    ("POST", "/pipelines/upload_version", "upload_version", uploads.upload_version),
    ("GET", "/pipelines", "list_pipelines", uploads.list_pipelines),
    ("GET", f"/pipelines/{ID}", "get_pipeline", uploads.get_pipeline),
    ("GET", f"/pipelines/{ID}/versions", "list_versions", uploads.list_versions),
    ("GET", f"/pipelines/{ID}/versions/{ID}", "get_version", uploads.get_pipeline),
)
ENDPOINTS = {kind: endpoint for _, _, kind, endpoint in ROUTES}


@dataclass(frozen=True)
class Answer:
    """What goes back over the wire."""

    code: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def json_answer(value: Any, code: int = 200) -> Answer:
    """Make an answer of JSON."""
    return Answer(code, json.dumps(value).encode(), {"Content-Type": "application/json"})


def text_answer(text: str, code: int) -> Answer:
    """Make an answer of kube-rbac-proxy: one line of plain text."""
    return Answer(code, f"{text}\n".encode(), {"Content-Type": TEXT, "X-Content-Type-Options": "nosniff"})


def classify(method: str, path: str) -> tuple[str, tuple[str, ...]]:
    """Tell which call a request is, and the ids in its path."""
    for verb, pattern, kind, _ in ROUTES:
        found = re.fullmatch(PREFIX + pattern, path)
        if found and verb == method:
            return kind, tuple(unquote(item) for item in found.groups())
    return "other", ()


def answer(dspa: Dspa, request: Request) -> Answer:
    """Answer a request: first the proxy in front, then the API."""
    with dspa.lock:
        refusal = refuse(dspa, request)
        if refusal is not None:
            return refusal
        gateway = dspa.version.gateway
        try:
            if request.kind == "other":
                raise unknown(request)
            return json_answer(ENDPOINTS[request.kind](dspa, request))
        except ApiError as error:
            return json_answer(error.body(gateway), error.status)
        except uploads.UploadRefused as error:
            return json_answer(error.body(), error.status)


def refuse(dspa: Dspa, request: Request) -> Answer | None:
    """Refuse whoever is not known, or may not do this, as kube-rbac-proxy does."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if dspa.tokens is not None and (scheme.lower() != "bearer" or token not in dspa.tokens):
        return text_answer("Unauthorized", 401)
    if dspa.forbidden and dspa.forbidden(request):
        verb = {"GET": "get", "POST": "create", "DELETE": "delete"}.get(request.method, "update")
        resource = "resource=datasciencepipelinesapplications, subresource=api"
        return text_answer(f"Forbidden (user=system:serviceaccount:ci:jukebox, verb={verb}, {resource})", 403)
    return None


def unknown(request: Request) -> ApiError:
    """Refuse a path that is none, or a method that it does not have."""
    known = any(re.fullmatch(PREFIX + pattern, request.path) for _, pattern, _, _ in ROUTES)
    code, text = (UNIMPLEMENTED, "Method Not Allowed") if known else (NOT_FOUND, "Not Found")
    return ApiError(code, text, gateway=True)

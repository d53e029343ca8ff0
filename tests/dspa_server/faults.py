"""Faults between a client and the API: one fault for one request."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

TEXT = "text/plain; charset=utf-8"
LOGIN_PAGE = (
    "<!DOCTYPE html>\n<html><body><form action='/oauth/start'>Log in with OpenShift</form></body></html>"
)
LATER = "<html><h1>504 Gateway Time-out</h1></html>"


@dataclass(frozen=True)
class Fault:
    """A fault. With ``after`` the request is handled, and only its answer goes wrong."""

    kind: str
    after: bool = False
    seconds: float = 0
    code: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    size: int = 0
    flag: bool = False
    edit: Callable[[Any], Any] | None = None

    @staticmethod
    def status(code, body="", content_type=TEXT, *, after=False, **headers):
        """Send another answer."""
        data = body.encode() if isinstance(body, str) else body
        named = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
        return Fault("status", after, code=code, body=data, headers={"Content-Type": content_type, **named})

    @staticmethod
    def json(value, code=200, *, after=False):
        return Fault.status(code, json.dumps(value), "application/json", after=after)

    # No answer: the connection is reset (RST), closed, or silent for so many seconds.
    reset = staticmethod(lambda *, after=False: Fault("reset", after))
    close = staticmethod(lambda *, after=False: Fault("hang", after))
    hang = staticmethod(lambda seconds, *, after=False: Fault("hang", after, seconds))
    # 504 (or a reset) now, and the request is handled so many seconds later.
    late_commit = staticmethod(
        lambda seconds, *, reset=False: Fault("late_commit", False, seconds, flag=reset)
    )
    # The right answer in pieces of so many bytes with pauses, half of it (with its own length or that of the
    # whole), or what ``edit`` returns for its JSON.
    slow_body = staticmethod(lambda seconds, piece=16: Fault("slow", False, seconds, size=piece))
    slow_headers = staticmethod(
        lambda seconds, piece=16: Fault("slow", False, seconds, size=piece, flag=True)
    )
    truncated = staticmethod(lambda *, matching=False: Fault("truncated", flag=matching))
    edited = staticmethod(lambda edit: Fault("edited", edit=edit))
    # One JSON object of so many MB; chunked, it has no Content-Length.
    huge = staticmethod(lambda megabytes, *, chunked=False: Fault("huge", size=megabytes, flag=chunked))
    # As oauth-proxy, kube-rbac-proxy and the router say it.
    login_page = staticmethod(lambda: Fault.status(200, LOGIN_PAGE, "text/html; charset=utf-8"))
    unauthorized = staticmethod(lambda: Fault.status(401, "Unauthorized\n"))
    forbidden = staticmethod(lambda: Fault.status(403, "Forbidden\n"))
    redirect = staticmethod(lambda url, code=302: Fault.status(code, Location=url))
    gateway_timeout = staticmethod(lambda *, after=True: Fault.status(504, LATER, "text/html", after=after))
    busy = staticmethod(
        lambda code=503, retry_after=None: Fault.status(code, "try again later\n", Retry_After=retry_after)
    )

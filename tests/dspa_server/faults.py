"""Faults between a client and the API: one fault for one request."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

TEXT = "text/plain; charset=utf-8"
LOGIN_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Log In</title></head>
<body><form method="GET" action="/oauth/start">
<button type="submit">Log in with OpenShift</button></form></body>
</html>
"""


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

    @classmethod
    def reset(cls, *, after: bool = False) -> "Fault":
        """Reset the connection (RST) without an answer."""
        return cls("reset", after)

    @classmethod
    def close(cls, *, after: bool = False) -> "Fault":
        """Close the connection without an answer."""
        return cls("close", after)

    @classmethod
    def hang(cls, seconds: float, *, after: bool = False) -> "Fault":
        """Send nothing for so long, then close."""
        return cls("hang", after, seconds)

    @classmethod
    def status(
        cls,
        code: int,
        body: str | bytes = "",
        content_type: str = TEXT,
        *,
        after: bool = False,
        **headers: str,
    ) -> "Fault":
        """Send another answer."""
        data = body.encode() if isinstance(body, str) else body
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls("status", after, code=code, body=data, headers={"Content-Type": content_type, **named})

    @classmethod
    def json(cls, value: Any, code: int = 200, *, after: bool = False) -> "Fault":
        """Send other JSON."""
        return cls.status(code, json.dumps(value), "application/json", after=after)

    @classmethod
    def login_page(cls) -> "Fault":
        """Send 200 and the HTML of a login page, as oauth-proxy does."""
        return cls.status(200, LOGIN_PAGE, "text/html; charset=utf-8")

    @classmethod
    def unauthorized(cls) -> "Fault":
        """Answer as kube-rbac-proxy does for an unknown token."""
        return cls.status(401, "Unauthorized\n")

    @classmethod
    def forbidden(cls) -> "Fault":
        """Answer as kube-rbac-proxy does for a missing right."""
        return cls.status(403, "Forbidden\n")

    @classmethod
    def redirect(cls, url: str, code: int = 302) -> "Fault":
        return cls.status(code, Location=url)

    @classmethod
    def busy(cls, code: int = 503, retry_after: str | None = None) -> "Fault":
        """Send 429 or 503, with or without `Retry-After`."""
        return cls.status(
            code, "try again later\n", **({} if retry_after is None else {"Retry_After": retry_after})
        )

    @classmethod
    def gateway_timeout(cls, *, after: bool = True) -> "Fault":
        """Send 504 as the router does."""
        page = "<html><body><h1>504 Gateway Time-out</h1></body></html>"
        return cls.status(504, page, "text/html", after=after)

    @classmethod
    def late_commit(cls, seconds: float, *, reset: bool = False) -> "Fault":
        """Send 504 (or reset) now, and handle the request so many seconds later."""
        return cls("late_commit", seconds=seconds, flag=reset)

    @classmethod
    def slow_body(cls, seconds: float, piece: int = 16) -> "Fault":
        """Send the right answer's body in pieces of so many bytes, with pauses between them."""
        return cls("slow_body", seconds=seconds, size=piece)

    @classmethod
    def slow_headers(cls, seconds: float, piece: int = 16) -> "Fault":
        """Send the right answer's headers likewise."""
        return cls("slow_headers", seconds=seconds, size=piece)

    @classmethod
    def truncated(cls, *, matching: bool = False) -> "Fault":
        """Send half of the right answer, with the length of the whole or, if matching, of the half."""
        return cls("truncated", flag=matching)

    @classmethod
    def edited(cls, edit: Callable[[Any], Any]) -> "Fault":
        """Handle the request, and send what ``edit`` returns for the answer's JSON."""
        return cls("edited", edit=edit)

    @classmethod
    def huge(cls, megabytes: int, *, chunked: bool = False) -> "Fault":
        """Send one JSON object of so many MB; chunked, it has no Content-Length."""
        return cls("huge", size=megabytes, flag=chunked)

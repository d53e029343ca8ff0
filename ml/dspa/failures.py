"""Errors of the connection to the DSPA, by kind; each message is one line that says what to do."""

import email.utils
import json
import time
from typing import Any
from urllib.parse import urlparse

import requests

from ml.core.errors import GateBlocked, PlatformError
from ml.dspa.connection import Connection


class NotAdmitted(GateBlocked):
    """The admission policy does not allow the compiled pipeline. Nothing was sent."""


class Unavailable(PlatformError):
    """There was no usable answer: whether a POST took effect is unknown, and a retry may help.

    ``wait`` is the Retry-After of the answer in seconds, 0 for none.
    """

    def __init__(self, message: str, wait: float = 0) -> None:
        super().__init__(message)
        self.wait = wait


NOT_ACCEPTED = (
    "the token is not accepted: it has expired, or is for another cluster or audience; get a current one "
    "(`oc whoami -t`, or `oc create token` for a service account)"
)
"""What to do about a 401. A missing right is a 403."""


class Refused(PlatformError):
    """The token was not accepted: 401, 403, a redirect or a login page.

    ``remedy`` says what to do. ``certain`` is whether the request certainly had no effect: a proxy's page may
    have replaced the answer.
    """

    def __init__(self, message: str, remedy: str = "", *, certain: bool = True) -> None:
        super().__init__(message)
        self.remedy = remedy
        self.certain = certain


class Untrusted(PlatformError):
    """The server's certificate is not trusted. Nothing was sent."""


class Rejected(PlatformError):
    """The API server rejected the request, which had no effect. ``status`` is the HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def retry_after(response: requests.Response) -> float:
    """Return Retry-After in seconds, which may be a date; 0 if it is missing or invalid."""
    value = response.headers.get("Retry-After", "")
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError, TypeError):
        return 0.0


def host_of(location: str) -> str:
    """Return the host of a redirect, "elsewhere" if it has none."""
    try:
        return _line(urlparse(location).hostname or "") or "elsewhere"
    except ValueError:
        return "elsewhere"


def _line(text: str) -> str:
    """Return text of the server as one printable line without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:300]


def reason_in(content: bytes) -> str:
    """Return the reason in an answer as one short line, "" for none."""
    try:
        value = json.loads(content)
        text = str(value.get("message") or value.get("error_message") or "")
    except (ValueError, RecursionError, AttributeError):
        text = "" if content.lstrip()[:1] == b"<" else content.decode("utf-8", "replace")
    return f": {_line(text)}" if _line(text) else ""


def cause_of(error: BaseException) -> str:
    """Return the innermost cause of a failed request: requests and urllib3 wrap it several times."""
    inner: Any = error
    while reasons := [
        reason
        for reason in (getattr(inner, "reason", None), *inner.args)
        if isinstance(reason, BaseException)
    ]:
        inner = reasons[0]
    text = _line(str(inner))
    return text.rpartition(">: ")[2] if ">: " in text else text or type(inner).__name__


def tls_failure(what: str, connection: Connection, error: Exception) -> PlatformError:
    """Return `Untrusted` for an invalid certificate, `Unavailable` for a broken handshake."""
    cause = cause_of(error)
    if "certificate" not in cause.lower() and "hostname" not in cause.lower():
        return Unavailable(f"{what}: TLS: {cause}")
    remedies = {
        "expired": "renew it, or correct this machine's clock",
        "not yet valid": "correct this machine's clock",
        "ostname": "give --host a name that is in the certificate",
        "IP address": "give --host a name that is in the certificate",
    }
    for word, remedy in remedies.items():
        if word in cause:
            return Untrusted(f"{what}: the server's certificate is not valid ({cause}): {remedy}")
    trusted = f"the CA in {connection.ca}" if connection.ca else "this machine's CAs"
    return Untrusted(
        f"{what}: the server's certificate is not trusted by {trusted} ({cause}): give the cluster's CA "
        "with --ca FILE (oc get configmap -n openshift-config-managed default-ingress-cert -o "
        "jsonpath='{.data.ca-bundle\\.crt}')"
    )

"""What can go wrong between us and the DSPA: each failure by its kind, and in one line a person can use."""

import email.utils
import json
import time
from typing import Any
from urllib.parse import urlparse

import requests

from ml.core.errors import GateBlocked, PlatformError
from ml.dspa.connection import Connection


class NotAdmitted(GateBlocked):
    """The compiled pipeline asks for something that the admission policy does not allow. Nothing was sent."""


class Unavailable(PlatformError):
    """No usable answer. Whether a POST had its effect is unknown; asking again later may help.

    ``wait`` are the seconds that the server asked for (Retry-After), 0 for none.
    """

    def __init__(self, message: str, wait: float = 0) -> None:
        super().__init__(message)
        self.wait = wait


NOT_ACCEPTED = (
    "the token is not accepted: it is over, or of another cluster or audience; give one that is current "
    "(`oc whoami -t`, or `oc create token` for a service account)"
)
"""What to do about a 401; a missing right is a 403."""


class Refused(PlatformError):
    """The token was not accepted: 401, 403, a redirect or a login page.

    ``remedy`` is what to do; ``certain`` is whether nothing has happened: a page from between may have
    replaced an answer.
    """

    def __init__(self, message: str, remedy: str = "", *, certain: bool = True) -> None:
        super().__init__(message)
        self.remedy = remedy
        self.certain = certain


class Untrusted(PlatformError):
    """The server's certificate is not one that our CA vouches for. Nothing was sent."""


class Rejected(PlatformError):
    """The API server itself has said no, for good. ``status`` is the HTTP status. Nothing has happened."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def retry_after(response: requests.Response) -> float:
    """Return the seconds of Retry-After, which may be a date; nonsense is 0, and our own back-off holds."""
    value = response.headers.get("Retry-After", "")
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError, TypeError):
        return 0.0


def host_of(location: str) -> str:
    """Name the host that a redirect leads to."""
    try:
        return _line(urlparse(location).hostname or "") or "elsewhere"
    except ValueError:
        return "elsewhere"


def _line(text: str) -> str:
    """Make one printable line of what the server wrote: a terminal obeys some characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:300]


def reason_in(content: bytes) -> str:
    """Say what a server gave as its reason, in one short line."""
    try:
        value = json.loads(content)
        text = str(value.get("message") or value.get("error_message") or "")
    except (ValueError, RecursionError, AttributeError):
        text = "" if content.lstrip()[:1] == b"<" else content.decode("utf-8", "replace")
    return f": {_line(text)}" if _line(text) else ""


def cause_of(error: BaseException) -> str:
    """Name the innermost cause of a failed request: requests and urllib3 wrap it several times."""
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
    """Tell a certificate that is not trusted from a connection that broke during the handshake."""
    cause = cause_of(error)
    if "certificate" not in cause.lower() and "hostname" not in cause.lower():
        return Unavailable(f"{what}: TLS: {cause}")
    mended = {
        "expired": "renew it, or set this machine's clock",
        "not yet valid": "set this machine's clock",
        "ostname": "use the name that is in it as --host",
        "IP address": "use the name that is in it as --host",
    }
    for word, remedy in mended.items():
        if word in cause:
            return Untrusted(f"{what}: the server's certificate cannot be used ({cause}): {remedy}")
    trusted = f"the CA in {connection.ca}" if connection.ca else "this machine's CAs"
    return Untrusted(
        f"{what}: the server's certificate is not vouched for by {trusted} ({cause}): give the cluster's CA "
        "with --ca FILE (oc get configmap -n openshift-config-managed default-ingress-cert -o "
        "jsonpath='{.data.ca-bundle\\.crt}')"
    )

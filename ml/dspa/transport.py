"""Send one HTTP request to the DSPA, and return a JSON object or raise an error of `ml.dspa.failures`.

Requests do not follow redirects or use proxies of the environment. Certificates are always verified, and time
and size of an answer are bounded.
"""

import json
from typing import Any, Literal

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from ml.core.within import NotInTime, call_within
from ml.dspa.connection import Connection
from ml.dspa.failures import (
    NOT_ACCEPTED,
    Refused,
    Rejected,
    Unavailable,
    cause_of,
    host_of,
    reason_in,
    retry_after,
    tls_failure,
)
from ml.dspa.timeouts import Timeouts

MOST = 8 << 20
"""Most bytes of an answer. A run with its whole specification has less than one megabyte."""

AGAIN = Retry(
    total=2,
    connect=2,
    read=2,
    status=0,
    redirect=False,
    allowed_methods=["GET"],
    backoff_factor=0.2,
    backoff_jitter=0.1,
    respect_retry_after_header=False,
)
"""Retries of broken connections, for GET only; `ml.dspa.session` retries everything else."""

Method = Literal["GET", "POST"]
Json = dict[str, Any]


class Transport:
    """Sends requests with the token, one at a time."""

    def __init__(self, connection: Connection, timeouts: Timeouts) -> None:
        """Create the HTTP sessions; send nothing."""
        self.connection = connection
        self._timeouts = timeouts
        self._reader = _session(connection, AGAIN)
        # A POST is sent once, on a new connection: one that was kept alive may be closed already.
        self._writer = _session(connection, Retry(total=0, redirect=False))
        self._writer.headers["Connection"] = "close"

    def send(
        self,
        method: Method,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: Json | None = None,
        within: float | None = None,
    ) -> tuple[Json, requests.structures.CaseInsensitiveDict[str]]:
        """Send one request and return the JSON object of the answer, and its headers.

        Args:
            method: GET or POST.
            path: the path below the host.
            query: the query parameters.
            body: JSON to send.
            within: most seconds for the whole request, if less than `Timeouts.request`.

        Raises:
            Unavailable, Refused, Untrusted, Rejected: see `ml.dspa.failures`.
        """
        seconds = min(self._timeouts.request, self._timeouts.request if within is None else within)
        what = f"{method} {path}"
        try:
            token = self.connection.token()
        except (OSError, ValueError) as error:
            raise Refused(f"the token file cannot be used: {error}", "give another --token-file") from None
        headers = {"Authorization": f"Bearer {token}"} if token else {}

        def call() -> tuple[requests.Response, bytes]:
            session = self._reader if method == "GET" else self._writer
            with session.request(
                method,
                self.connection.host + path,
                params=query,
                json=body,
                headers=headers,
                timeout=(min(self._timeouts.connect, seconds), min(self._timeouts.read, seconds)),
                allow_redirects=False,
                stream=True,
            ) as response:
                return response, _bounded(response)

        try:
            response, content = call_within(seconds, call)
        except NotInTime:
            self._reader = _session(self.connection, AGAIN)  # the old one is still in use
            raise Unavailable(f"{what}: no complete answer within {seconds:.0f} s") from None
        except requests.exceptions.SSLError as error:
            raise tls_failure(what, self.connection, error) from None
        except (requests.RequestException, OSError, ValueError) as error:
            raise Unavailable(f"{what}: {cause_of(error)}") from None
        return self._understand(what, response, content), response.headers

    def _understand(self, what: str, response: requests.Response, content: bytes) -> Json:
        """Return the JSON object of an answer, or raise the error that it means."""
        status = response.status_code
        if status in (401, 403):
            remedy = NOT_ACCEPTED if status == 401 else self.connection.missing_right
            raise Refused(f"{what}: refused (HTTP {status}): {remedy}", remedy)
        if 300 <= status < 400:
            target = host_of(response.headers.get("Location", ""))
            raise Refused(
                f"{what}: redirected to {target}, which is not followed: check that --host is the DSPA's own "
                "route, and that the token is of this cluster",
                self.connection.rule_of_route,
                certain=False,
            )
        html = content.lstrip()[:1] == b"<" or "html" in response.headers.get("Content-Type", "")
        if html and status < 300:
            raise Refused(
                f"{what}: a login page (HTML with HTTP {status}) instead of an answer: the proxy in front of "
                f"the DSPA does not accept the token; {self.connection.rule_of_route}",
                self.connection.rule_of_route,
                certain=False,
            )
        if status in (408, 429) or status >= 500:
            raise Unavailable(f"{what}: HTTP {status}{reason_in(content)}", retry_after(response))
        try:
            value = json.loads(content)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            # Not from the API server, which sends JSON only, but from a router or a proxy.
            raise Unavailable(f"{what}: HTTP {status} without a JSON object")
        if status >= 400:
            if "code" not in value and "error_message" not in value:
                raise Unavailable(f"{what}: HTTP {status} without an error of the API")
            raise Rejected(f"{what}: HTTP {status}{reason_in(content)}", status)
        return value


class _Session(requests.Session):
    """A session that ignores redirects: requests would read their whole answer to follow them."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return None: there is no redirect to follow."""


def _session(connection: Connection, retries: Retry) -> requests.Session:
    session = _Session()
    # Ignore HTTP_PROXY, ~/.netrc and REQUESTS_CA_BUNDLE: only the connection counts.
    session.trust_env = False
    session.verify = str(connection.ca) if connection.ca else True
    session.headers.update({"Accept": "application/json", "User-Agent": "jukebox"})
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retries))
    return session


def _bounded(response: requests.Response) -> bytes:
    """Return the body of an answer.

    Raises:
        ValueError: it has more than `MOST` bytes.
    """
    pieces, size = [], 0
    for piece in response.iter_content(1 << 16):
        pieces.append(piece)
        size += len(piece)
        if size > MOST:
            raise ValueError(f"an answer of more than {MOST >> 20} MB")
    return b"".join(pieces)

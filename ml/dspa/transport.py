"""One HTTP request to the DSPA, with everything that can go wrong given a name.

No request follows a redirect or a proxy of the environment, none goes out without verifying the
certificate, and none waits or reads without bound. What comes back is a JSON object or an error.
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
"""Bytes of an answer. A run with its whole specification is below one megabyte."""

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
"""For GET only, and for broken connections only: whoever asked decides about everything else."""

Method = Literal["GET", "POST"]
Json = dict[str, Any]


class Transport:
    """Sends requests with our token, one at a time."""

    def __init__(self, connection: Connection, timeouts: Timeouts) -> None:
        """Prepare; nothing is sent yet."""
        self.connection = connection
        self._timeouts = timeouts
        self._reader = _session(connection, AGAIN)
        # A POST goes out once, on a connection of its own: one kept alive may be dead already.
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
            path: below the host.
            query: the parameters of the address.
            body: JSON to send.
            within: most seconds for all of it; `Timeouts.request` at most.

        Raises:
            Unavailable, Refused, Untrusted, Rejected: as they say.
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
            self._reader = _session(self.connection, AGAIN)  # the old one is still busy
            raise Unavailable(f"{what}: no whole answer within {seconds:.0f} s") from None
        except requests.exceptions.SSLError as error:
            raise tls_failure(what, self.connection, error) from None
        except (requests.RequestException, OSError, ValueError) as error:
            raise Unavailable(f"{what}: {cause_of(error)}") from None
        return self._understand(what, response, content), response.headers

    def _understand(self, what: str, response: requests.Response, content: bytes) -> Json:
        """Return the JSON object of an answer, or raise what the answer means."""
        status = response.status_code
        if status in (401, 403):
            remedy = NOT_ACCEPTED if status == 401 else self.connection.missing_right
            raise Refused(f"{what}: refused (HTTP {status}): {remedy}", remedy)
        if 300 <= status < 400:
            target = host_of(response.headers.get("Location", ""))
            raise Refused(
                f"{what}: redirected to {target}, which is never followed with the token: is --host the "
                "DSPA's own route, and the token a token of the cluster?",
                self.connection.rule_of_route,
                certain=False,
            )
        html = content.lstrip()[:1] == b"<" or "html" in response.headers.get("Content-Type", "")
        if html and status < 300:
            raise Refused(
                f"{what}: a login page (HTML with HTTP {status}) instead of an answer: the proxy in front of "
                f"the DSPA does not take the token; {self.connection.rule_of_route}",
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
            # Not from the API server, which speaks JSON only: a router without a route, a proxy's own page.
            raise Unavailable(f"{what}: HTTP {status} without a JSON object")
        if status >= 400:
            if "code" not in value and "error_message" not in value:
                raise Unavailable(f"{what}: HTTP {status}, but not in the API's words")
            raise Rejected(f"{what}: HTTP {status}{reason_in(content)}", status)
        return value


class _Session(requests.Session):
    """A session that does not even look where a redirect leads: requests would read the answer whole."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Know of no redirects."""


def _session(connection: Connection, retries: Retry) -> requests.Session:
    session = _Session()
    # Neither HTTP_PROXY nor ~/.netrc nor REQUESTS_CA_BUNDLE: only what the connection says.
    session.trust_env = False
    session.verify = str(connection.ca) if connection.ca else True
    session.headers.update({"Accept": "application/json", "User-Agent": "jukebox"})
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retries))
    return session


def _bounded(response: requests.Response) -> bytes:
    """Read an answer piece by piece, and not more than `MOST` bytes."""
    pieces, size = [], 0
    for piece in response.iter_content(1 << 16):
        pieces.append(piece)
        size += len(piece)
        if size > MOST:
            raise ValueError(f"an answer of more than {MOST >> 20} MB")
    return b"".join(pieces)

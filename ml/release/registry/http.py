"""One HTTP request to a Model Registry: a JSON object, or an error in one line.

No redirects, no proxies or CAs of the environment; certificates are verified, and time and size are bounded.
"""

import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from ml.core.errors import PlatformError, UsageError
from ml.core.within import NotInTime, call_within

Json = dict[str, Any]

TIMEOUT = 30.0
"""Seconds for a whole request."""

LARGEST, PIECE = 8 << 20, 1 << 16
"""Bytes of an answer that are read."""

CONFLICT, NOT_FOUND, SERVER_ERROR = 409, 404, 500


class NoAnswer(Exception):
    """A request has no answer, or one that says nothing of what was done."""


@dataclass(frozen=True)
class Site:
    """Where a registry is, and how to reach it.

    ``token_file`` is read for every request; ``ca`` is a PEM file, None for the usual CAs.
    """

    url: str
    token_file: Path | None = None
    ca: Path | None = None


class Connection:
    """Sends requests to one registry."""

    def __init__(self, site: Site) -> None:
        """Check the address; the first request connects.

        Raises:
            UsageError: the address is no http(s) address, or holds a password.
        """
        scheme, _, rest = site.url.partition("://")
        if scheme not in ("http", "https") or not rest or "@" in rest.partition("/")[0]:
            raise UsageError("--registry: give an address as https://registry.example, without a password")
        self.site = site
        self.url = site.url.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = str(site.ca) if site.ca else True

    def send(
        self, method: str, path: str, query: dict[str, str] | None = None, body: Json | None = None
    ) -> tuple[int, Json]:
        """Return the status (2xx, 404, 409) and the JSON object of the answer.

        Raises:
            NoAnswer: it is not known what was done.
            PlatformError: the registry refuses, or something else answers.
            UsageError: the token file cannot be read.
        """
        what = f"{self.url}: {method} {path.rpartition('/model_registry')[2] or path}"
        headers = {"Accept": "application/json"}
        if self.site.token_file:
            try:
                token = self.site.token_file.read_text(encoding="ascii").strip()
            except (OSError, ValueError) as error:
                raise UsageError(f"--registry-token-file cannot be read: {error}") from error
            headers["Authorization"] = f"Bearer {token}"

        def call() -> tuple[int, bytes]:
            with self._session.request(
                method,
                self.url + path,
                params=query,
                json=body,
                headers=headers,
                timeout=TIMEOUT,
                allow_redirects=False,
                stream=True,
            ) as answer:
                pieces = itertools.islice(answer.iter_content(PIECE), LARGEST // PIECE)
                return answer.status_code, b"".join(pieces)

        try:
            status, content = call_within(TIMEOUT, call)
        except requests.exceptions.SSLError as error:
            raise PlatformError(f"{what}: the certificate is not trusted: give --registry-ca FILE") from error
        except (requests.RequestException, NotInTime, OSError, ValueError) as error:
            raise NoAnswer(f"{what}: no answer ({type(error).__name__})") from error
        return _understood(what, status, content)


def _understood(what: str, status: int, content: bytes) -> tuple[int, Json]:
    """Return the status and the JSON object of an answer, or raise the error that it means."""
    try:
        value = json.loads(content) if content else {}
    except (ValueError, RecursionError):
        value = None
    if status in (401, 403):
        raise PlatformError(f"{what}: refused (HTTP {status}): check --registry-token-file and its rights")
    if 300 <= status < 400 or (status < 300 and not isinstance(value, dict)):
        raise PlatformError(f"{what}: HTTP {status} without JSON: a login page or another server?")
    if status >= SERVER_ERROR:
        raise NoAnswer(f"{what}: HTTP {status}")
    answer: Json = value if isinstance(value, dict) else {}
    if status >= 400 and status not in (NOT_FOUND, CONFLICT):
        raise PlatformError(
            f"{what}: HTTP {status}: {' '.join(str(answer.get('message', '')).split())[:300]}"
        )
    return status, answer

"""Requests to a registry over the OCI distribution API: logins, tokens, and the digest of a tag.

Only a clear "no such manifest" counts as absent: a registry that cannot be reached or refuses the request is
an error, because a build of an image that already exists would take minutes.

The client is our own because neither oras 0.2.43 nor python-dxf 12.1.1 can replace it: oras has no timeouts,
reads blobs into memory, rewrites manifests and takes any 404 for absence; python-dxf refuses a login over
plain HTTP, sends a login to any host in `Location`, and limits no sizes.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from ml.core.errors import PlatformError

MANIFESTS = ", ".join(
    (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
CHALLENGE = re.compile(r'\bbearer\s+((?:\w+="[^"]*"[,\s]*)+)', re.IGNORECASE)
"""The part of WWW-Authenticate that asks for a token. A Basic challenge may stand beside it."""
PARAMETER = re.compile(r'(\w+)="([^"]*)"')
BEARER = re.compile(r"[\w.~+/=:-]+", re.ASCII)
TIMEOUT = (10, 30)
"""Seconds to wait for a connection, and for the next bytes of an answer."""

Body = Callable[[], Any] | None
"""A function that returns the body of a request. Each try calls it: the first may only ask for a token."""


@dataclass(frozen=True)
class Registry:
    """How registries are reached.

    Args:
        insecure: use plain HTTP, for a registry of a test cluster.
        ca: a PEM file to trust instead of the system's roots, or None.
        logins: by registry, or registry and path, the base64 of user:password (`ml.image.logins`).
    """

    insecure: bool = False
    ca: Path | None = None
    logins: Mapping[str, str] = field(default_factory=dict, repr=False)

    def digest(self, reference: str) -> str | None:
        """Return the digest of a tag, or None if the registry has no such image.

        Args:
            reference: as ``registry.example/team/jukebox/build:tag``.

        Raises:
            PlatformError: the registry cannot be reached, refuses, or answers without a digest.
        """
        action = f"look up {reference}"
        name, _, tag = reference.rpartition(":")
        session, path = Session(self, name, action), f"manifests/{tag}"
        headers = {"Accept": MANIFESTS}
        answer = session.request("HEAD", path, headers)
        if answer.status_code == requests.codes.not_found:
            # A proxy without a route answers 404 too. Only the body of a GET tells the two apart.
            if not _is_absent(session.request("GET", path, headers)):
                raise PlatformError(f"cannot {action}: 404, and not from a registry; check the address")
            return None
        if answer.status_code != requests.codes.ok:
            raise PlatformError(f"cannot {action}: the registry answers {answer.status_code}")
        digest = answer.headers.get("Docker-Content-Digest", "")
        if not DIGEST.fullmatch(digest):
            raise PlatformError(f"cannot {action}: the registry's answer has no digest")
        return digest

    def login(self, place: str) -> dict[str, str]:
        """Return the header for a registry and path: the login with the longest match, {} for none."""
        while place:
            if place in self.logins:
                return {"Authorization": f"Basic {self.logins[place]}"}
            place = place.rpartition("/")[0]
        return {}


class Session:
    """Requests for one repository of a registry; keeps the token that the registry issues for them.

    Args:
        registry: how it is reached.
        name: the repository with its registry, as ``registry.example/team/jukebox/component``.
        action: what an error message says cannot be done, as "push registry.example/…:tag".
    """

    def __init__(self, registry: Registry, name: str, action: str) -> None:
        self.action = action
        self._registry = registry
        host, _, path = name.partition("/")
        self._root = f"{'http' if registry.insecure else 'https'}://{host}"
        self._base = f"{self._root}/v2/{path}"
        self._login = registry.login(name)
        self._authorization = self._login

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        *,
        stream: bool = False,
    ) -> requests.Response:
        """Send a request, with a token if the registry asks for one.

        Args:
            method: the HTTP method.
            path: a path in the repository, as ``manifests/TAG``, or an address from `own_address`.
            headers: headers besides the login.
            body: the function that returns the body.
            stream: whether the caller reads the answer's body, and redirects are followed.

        Raises:
            PlatformError: the registry cannot be reached, or issues no token.
        """
        url = path if path.startswith(self._root + "/") else f"{self._base}/{path}"
        answer = self._send(method, url, {**(headers or {}), **self._authorization}, body, stream=stream)
        challenge = CHALLENGE.search(answer.headers.get("WWW-Authenticate", ""))
        if answer.status_code == requests.codes.unauthorized and challenge:
            answer.close()
            self._authorization = {"Authorization": f"Bearer {self._token(challenge[1])}"}
            answer = self._send(method, url, {**(headers or {}), **self._authorization}, body, stream=stream)
        return answer

    def own_address(self, location: str) -> str:
        """Return the full address of a Location that the registry sent.

        Raises:
            PlatformError: it is on another host, to which the login must not be sent.
        """
        parts = urlsplit(location)
        if parts.netloc and parts.netloc != urlsplit(self._root).netloc:
            raise PlatformError(f"cannot {self.action}: the registry redirects to {parts.hostname}")
        # Behind a proxy that ends TLS, some registries write http://.
        return f"{self._root}{parts.path}" + (f"?{parts.query}" if parts.query else "")

    def _token(self, challenge: str) -> str:
        """Request a token from the address in a challenge (distribution's "token authentication")."""
        parameters = {name.lower(): value for name, value in PARAMETER.findall(challenge)}
        realm = parameters.get("realm", "")
        # Otherwise a machine in the middle could receive the password in the clear.
        if not realm.startswith(("https://", "http://") if self._registry.insecure else "https://"):
            raise PlatformError(
                f"cannot {self.action}: the registry's address for tokens is {realm or 'empty'}, not https://…"
            )
        # A mount from another repository needs the rights of both: two scopes.
        query = {"service": parameters.get("service"), "scope": parameters.get("scope", "").split()}
        answer = self._send("GET", realm, self._login, None, query)
        try:
            document: Any = answer.json()
            token = document.get("token") or document["access_token"]
            if not answer.ok or not BEARER.fullmatch(token):
                raise ValueError
        except (ValueError, LookupError, AttributeError, TypeError):
            raise PlatformError(
                f"cannot {self.action}: no token from {urlsplit(realm).hostname} ({answer.status_code})"
            ) from None
        return str(token)

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Body,
        query: Mapping[str, Any] | None = None,
        *,
        stream: bool = False,
    ) -> requests.Response:
        with requests.Session() as session:
            # Otherwise requests would replace our login with one from ~/.netrc.
            session.trust_env = False
            session.verify = str(self._registry.ca) if self._registry.ca else True
            try:
                session.proxies = requests.utils.get_environ_proxies(url)
                # A redirect could send the login to another host. The redirect of a blob leads to a bucket,
                # and requests sends no login to another host.
                return session.request(
                    method,
                    url,
                    headers=headers,
                    params=query,
                    data=body() if body else None,
                    timeout=TIMEOUT,
                    allow_redirects=stream,
                    stream=stream,
                )
            except (requests.RequestException, OSError, ValueError) as error:
                reason = re.sub(r".*: ", "", str(error), flags=re.DOTALL).strip("'\")(")
                raise PlatformError(f"cannot {self.action}: {reason}") from None


def _is_absent(answer: requests.Response) -> bool:
    """Return whether an answer is a registry's "no such manifest" or "no such name", and no other 404."""
    try:
        document: Any = answer.json()
        return answer.status_code == requests.codes.not_found and bool(document["errors"])
    except (ValueError, LookupError, TypeError):
        return False

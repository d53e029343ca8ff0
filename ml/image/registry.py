"""Ask a registry, over the OCI distribution API: logins, tokens, and which image a name stands for.

Only a clear "no such manifest" counts as absent: a registry that cannot be asked, or refuses us, is an error,
never a reason to build for minutes what is there already.
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
"""What of WWW-Authenticate asks for a token; a Basic challenge may stand beside it."""
PARAMETER = re.compile(r'(\w+)="([^"]*)"')
BEARER = re.compile(r"[\w.~+/=:-]+", re.ASCII)
TIMEOUT = (10, 30)
"""Seconds until a connection stands, and between two pieces of an answer."""

Body = Callable[[], Any] | None
"""What is sent: made anew for each try, since the first may only tell that a token is needed."""


@dataclass(frozen=True)
class Registry:
    """How registries are reached.

    Args:
        insecure: speak plain HTTP, as to a registry of a test cluster.
        ca: a PEM file to trust in place of the system's roots, or None.
        logins: by registry, or registry and path, the base64 of user:password (`ml.image.logins`).
    """

    insecure: bool = False
    ca: Path | None = None
    logins: Mapping[str, str] = field(default_factory=dict, repr=False)

    def digest(self, reference: str) -> str | None:
        """Return the digest that a tag stands for; None where the registry has no such image.

        Args:
            reference: as ``registry.example/team/jukebox/build:tag``.

        Raises:
            PlatformError: the registry cannot be reached, refuses, or answers with no digest.
        """
        doing = f"ask for {reference}"
        name, _, tag = reference.rpartition(":")
        session, place = Session(self, name, doing), f"manifests/{tag}"
        headers = {"Accept": MANIFESTS}
        answer = session.ask("HEAD", place, headers)
        if answer.status_code == requests.codes.not_found:
            # A proxy without a route says so too. HEAD leaves out what tells a registry's answer from that.
            if not _is_absent(session.ask("GET", place, headers)):
                raise PlatformError(f"cannot {doing}: 404, and not from a registry")
            return None
        if answer.status_code != requests.codes.ok:
            raise PlatformError(f"cannot {doing}: the registry answers {answer.status_code}")
        digest = answer.headers.get("Docker-Content-Digest", "")
        if not DIGEST.fullmatch(digest):
            raise PlatformError(f"cannot {doing}: the registry names no digest")
        return digest

    def login(self, place: str) -> dict[str, str]:
        """Return the header for a registry and path: the login for most of it, {} for none."""
        while place:
            if place in self.logins:
                return {"Authorization": f"Basic {self.logins[place]}"}
            place = place.rpartition("/")[0]
        return {}


class Session:
    """Requests about one repository of a registry, with the token that it gives for them.

    Args:
        registry: how it is reached.
        name: the repository with its registry, as ``registry.example/team/jukebox/component``.
        doing: what an error says cannot be done, as "push registry.example/…:tag".
    """

    def __init__(self, registry: Registry, name: str, doing: str) -> None:
        self.doing = doing
        self._registry = registry
        host, _, path = name.partition("/")
        self._root = f"{'http' if registry.insecure else 'https'}://{host}"
        self._base = f"{self._root}/v2/{path}"
        self._login = registry.login(name)
        self._authorization = self._login

    def ask(
        self,
        method: str,
        place: str,
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        *,
        stream: bool = False,
    ) -> requests.Response:
        """Send a request, with a token if the registry asks for one.

        Args:
            method: of HTTP.
            place: what of the repository, as ``manifests/TAG``, or an address that `there` has returned.
            headers: beside the login.
            body: what is sent.
            stream: whether the answer's body is left to be read, and looked for where the registry sends us.

        Raises:
            PlatformError: the registry cannot be reached, or gives no token.
        """
        url = place if place.startswith(self._root + "/") else f"{self._base}/{place}"
        answer = self._send(method, url, {**(headers or {}), **self._authorization}, body, stream=stream)
        challenge = CHALLENGE.search(answer.headers.get("WWW-Authenticate", ""))
        if answer.status_code == requests.codes.unauthorized and challenge:
            answer.close()
            self._authorization = {"Authorization": f"Bearer {self._token(challenge[1])}"}
            answer = self._send(method, url, {**(headers or {}), **self._authorization}, body, stream=stream)
        return answer

    def there(self, location: str) -> str:
        """Return the address that a registry sends us to within itself.

        Raises:
            PlatformError: it leads elsewhere, where our login must not go.
        """
        found = urlsplit(location)
        if found.netloc and found.netloc != urlsplit(self._root).netloc:
            raise PlatformError(f"cannot {self.doing}: the registry sends us to {found.hostname}")
        # Behind a proxy that ends TLS, registries are known to write http://.
        return f"{self._root}{found.path}" + (f"?{found.query}" if found.query else "")

    def _token(self, challenge: str) -> str:
        """Get a token from where the registry sends us (distribution's "token authentication")."""
        asked = {name.lower(): value for name, value in PARAMETER.findall(challenge)}
        realm = asked.get("realm", "")
        # Whoever answers in the registry's place must not get a password in the open.
        if not realm.startswith(("https://", "http://") if self._registry.insecure else "https://"):
            raise PlatformError(f"cannot {self.doing}: the registry sends us to {realm or 'nowhere'}")
        # To mount a layer of another repository takes a right for each of the two.
        query = {"service": asked.get("service"), "scope": asked.get("scope", "").split()}
        answer = self._send("GET", realm, self._login, None, query)
        try:
            found: Any = answer.json()
            token = found.get("token") or found["access_token"]
            if not answer.ok or not BEARER.fullmatch(token):
                raise ValueError
        except (ValueError, LookupError, AttributeError, TypeError):
            raise PlatformError(
                f"cannot {self.doing}: no token from {urlsplit(realm).hostname} ({answer.status_code})"
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
            # Not ~/.netrc: it would put another login in the place of ours.
            session.trust_env = False
            session.verify = str(self._registry.ca) if self._registry.ca else True
            try:
                session.proxies = requests.utils.get_environ_proxies(url)
                # A redirect would take the login elsewhere. That of a blob leads to a bucket, and requests
                # sends no login to another host.
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
                raise PlatformError(f"cannot {self.doing}: {reason}") from None


def _is_absent(answer: requests.Response) -> bool:
    """Tell a registry's "no such manifest" or "no such name" from anybody else's 404."""
    try:
        found: Any = answer.json()
        return answer.status_code == requests.codes.not_found and bool(found["errors"])
    except (ValueError, LookupError, TypeError):
        return False

"""Ask a registry which image a name stands for, over the OCI distribution API.

Only a clear "no such manifest" counts as absent: a registry that cannot be asked, or refuses us, is an error,
never a reason to build for minutes what is there already.
"""

import base64
import json
import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from ml.errors import PlatformError, UsageError

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


@dataclass(frozen=True)
class Registry:
    """How registries are reached.

    Args:
        insecure: speak plain HTTP, as to a registry of a test cluster.
        ca: a PEM file to trust in place of the system's roots, or None.
        logins: by registry, or registry and path, the base64 of user:password, as `read_logins` gives them.
    """

    insecure: bool = False
    ca: Path | None = None
    logins: dict[str, str] = field(default_factory=dict, repr=False)

    def digest(self, reference: str) -> str | None:
        """Return the digest that a tag stands for; None where the registry has no such image.

        Args:
            reference: as ``registry.example/team/jukebox/build:tag``.

        Raises:
            PlatformError: the registry cannot be reached, refuses, or answers with no digest.
        """
        host, _, rest = reference.partition("/")
        name, _, tag = rest.rpartition(":")
        url = f"{'http' if self.insecure else 'https'}://{host}/v2/{name}/manifests/{tag}"
        login = self._login(f"{host}/{name}")
        headers = {"Accept": MANIFESTS, **login}
        answer = self._ask("HEAD", url, reference, headers)
        challenge = CHALLENGE.search(answer.headers.get("WWW-Authenticate", ""))
        if answer.status_code == requests.codes.unauthorized and challenge:
            headers["Authorization"] = f"Bearer {self._token(challenge[1], login, reference)}"
            answer = self._ask("HEAD", url, reference, headers)
        if answer.status_code == requests.codes.not_found:
            # A proxy without a route says so too. HEAD leaves out what tells a registry's answer from that.
            if not _is_absent(self._ask("GET", url, reference, headers)):
                raise PlatformError(f"cannot ask for {reference}: 404, and not from a registry")
            return None
        if answer.status_code != requests.codes.ok:
            raise PlatformError(f"cannot ask for {reference}: the registry answers {answer.status_code}")
        digest = answer.headers.get("Docker-Content-Digest", "")
        if not DIGEST.fullmatch(digest):
            raise PlatformError(f"cannot ask for {reference}: the registry names no digest")
        return digest

    def _login(self, place: str) -> dict[str, str]:
        """Return the header for a registry and path: the login for most of it, {} for none."""
        while place:
            if place in self.logins:
                return {"Authorization": f"Basic {self.logins[place]}"}
            place = place.rpartition("/")[0]
        return {}

    def _token(self, challenge: str, login: dict[str, str], reference: str) -> str:
        """Get a token from where the registry sends us (distribution's "token authentication")."""
        asked = {name.lower(): value for name, value in PARAMETER.findall(challenge)}
        realm = asked.get("realm", "")
        # Whoever answers in the registry's place must not get a password in the open.
        if not realm.startswith(("https://", "http://") if self.insecure else "https://"):
            raise PlatformError(f"cannot ask for {reference}: the registry sends us to {realm or 'nowhere'}")
        query = {name: asked[name] for name in ("service", "scope") if name in asked}
        answer = self._ask("GET", realm, reference, login, query)
        try:
            found: Any = answer.json()
            token = found.get("token") or found["access_token"]
            if not answer.ok or not BEARER.fullmatch(token):
                raise ValueError
        except (ValueError, LookupError, AttributeError, TypeError):
            raise PlatformError(
                f"cannot ask for {reference}: no token from {urlsplit(realm).hostname} ({answer.status_code})"
            ) from None
        return str(token)

    def _ask(
        self,
        method: str,
        url: str,
        reference: str,
        headers: dict[str, str],
        query: dict[str, str] | None = None,
    ) -> requests.Response:
        with requests.Session() as session:
            # Not ~/.netrc: it would put another login in the place of ours.
            session.trust_env = False
            session.verify = str(self.ca) if self.ca else True
            try:
                session.proxies = requests.utils.get_environ_proxies(url)
                # A redirect would take the login elsewhere; manifests have none.
                return session.request(
                    method, url, headers=headers, params=query, timeout=TIMEOUT, allow_redirects=False
                )
            except (requests.RequestException, OSError, ValueError) as error:
                reason = re.sub(r".*: ", "", str(error), flags=re.DOTALL).strip("'\")(")
                raise PlatformError(f"cannot ask for {reference}: {reason}") from None


def _is_absent(answer: requests.Response) -> bool:
    """Tell a registry's "no such manifest" or "no such name" from anybody else's 404."""
    try:
        found: Any = answer.json()
        return answer.status_code == requests.codes.not_found and bool(found["errors"])
    except (ValueError, LookupError, TypeError):
        return False


def require_certificates(path: Path) -> None:
    """Make sure that a file has certificates to trust.

    Raises:
        UsageError: it has none, or cannot be read.
    """
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as error:
        raise UsageError(f"--ca {path}: cannot be read; it is a file of PEM certificates") from error


def read_logins(path: Path | None) -> dict[str, str]:
    """Read the logins of Docker's configuration file; without a file there are none.

    Raises:
        UsageError: it is no such file. The message does not quote it.
    """
    if path is None or not path.is_file():
        return {}
    try:
        auths = json.loads(path.read_bytes()).get("auths", {})
        # An empty entry points to a helper program, which is not here.
        return {_place(name): _encoded(entry) for name, entry in auths.items() if entry}
    except (OSError, ValueError, LookupError, AttributeError, TypeError, RecursionError):
        raise UsageError(f"{path}: not a Docker configuration with logins") from None


def _place(name: str) -> str:
    """Return the registry that a login is for, with a path if it has one: https://HOST/v1/ is HOST."""
    return re.sub(r"/v[12]/?$", "", name.rpartition("://")[2]).rstrip("/")


def _encoded(entry: dict[str, str]) -> str:
    """Return user:password in base64, which is fit for a header whatever they are."""
    plain = base64.b64decode(entry["auth"], validate=True) if entry.get("auth") else b""
    plain = plain or f"{entry['username']}:{entry['password']}".encode()
    if b":" not in plain:
        raise ValueError
    return base64.b64encode(plain).decode()

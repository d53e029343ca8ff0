"""Credentials for registries, from a Docker configuration file or a token of the cluster, and a CA file."""

import base64
import json
import re
import ssl
from pathlib import Path

from ml.core.errors import UsageError

IN_CLUSTER = re.compile(r"[\w-]+\.[\w-]+\.svc(\.cluster\.local)?(:[0-9]+)?")
"""The address of a service of the cluster: SERVICE.NAMESPACE.svc."""


def registry_logins(auth_file: Path | None, token_file: Path | None, repository: str) -> dict[str, str]:
    """Read the logins for a repository: the user's own, otherwise a token of the cluster.

    Args:
        auth_file: a Docker configuration file; it may be missing.
        token_file: a service account's token, for the cluster's own registry; it may be missing.
        repository: the image names before /component and the like. The token is sent only to its registry,
            and only if that is a service of the cluster: another receiver could use the token there.

    Raises:
        UsageError: the configuration file is not valid. The message does not quote it.
    """
    logins, host = read_logins(auth_file), repository.partition("/")[0]
    if token_file and token_file.is_file() and host not in logins and IN_CLUSTER.fullmatch(host):
        logins[host] = base64.b64encode(b"jukebox:" + token_file.read_bytes().strip()).decode()
    return logins


def require_certificates(path: Path) -> None:
    """Check that a file has certificates to trust.

    Raises:
        UsageError: it has none, or cannot be read.
    """
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as error:
        raise UsageError(f"--ca {path}: cannot be read; give a file of PEM certificates") from error


def read_logins(path: Path | None) -> dict[str, str]:
    """Read the logins of a Docker configuration file; without a file there are none.

    Raises:
        UsageError: the file is not valid. The message does not quote it.
    """
    if path is None or not path.is_file():
        return {}
    try:
        auths = json.loads(path.read_bytes()).get("auths", {})
        # An empty entry refers to a credential helper, which is not installed here.
        return {_place(name): _encoded(entry) for name, entry in auths.items() if entry}
    except (OSError, ValueError, LookupError, AttributeError, TypeError, RecursionError):
        raise UsageError(f"{path}: not a Docker configuration with logins") from None


def _place(name: str) -> str:
    """Return the registry that a login is for, with a path if it has one: HOST for https://HOST/v1/."""
    return re.sub(r"/v[12]/?$", "", name.rpartition("://")[2]).rstrip("/")


def _encoded(entry: dict[str, str]) -> str:
    """Return user:password in base64, which is valid in a header for any characters."""
    plain = base64.b64decode(entry["auth"], validate=True) if entry.get("auth") else b""
    plain = plain or f"{entry['username']}:{entry['password']}".encode()
    if b":" not in plain:
        raise ValueError
    return base64.b64encode(plain).decode()

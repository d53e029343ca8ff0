"""One key of a ConfigMap, read and replaced through the Kubernetes API with the pod's own account."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.core.errors import PlatformError, UsageError

if TYPE_CHECKING:
    import requests

POD = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where Kubernetes puts a pod's token, namespace and CA."""

KEY = "head"
TRIES = 5
SECONDS = (5, 30)
CONFLICT = 409


def read_key(name: str) -> str:
    """Return the value of the key, "" where the ConfigMap has none.

    Raises:
        UsageError: there is no such ConfigMap, or this is no pod.
        PlatformError: the API cannot be reached, or refuses.
    """
    return _value(_call("GET", name).json())


def replace_key(name: str, change: Callable[[str], str | None]) -> None:
    """Replace the value of the key by what ``change`` makes of it; None leaves it.

    Another writer may come first: then it is read, and changed, again.

    Raises:
        UsageError: there is no such ConfigMap, or this is no pod.
        PlatformError: the API cannot be reached, or refuses.
    """
    for _ in range(TRIES):
        found = _call("GET", name).json()
        value = change(_value(found))
        if value is None:
            return
        version = found["metadata"]["resourceVersion"]
        body = {"metadata": {"resourceVersion": version}, "data": {KEY: value}}
        if _call("PATCH", name, body).status_code != CONFLICT:
            return
    raise PlatformError(f"config map {name}: others keep changing it; run the command again")


def _value(found: dict[str, Any]) -> str:
    return str((found.get("data") or {}).get(KEY, ""))


def _call(method: str, name: str, body: dict[str, Any] | None = None) -> "requests.Response":
    """Send one request; its answer is good, or a conflict."""
    import requests

    try:
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
        token, namespace = (
            (POD / file).read_text(encoding="ascii").strip() for file in ("token", "namespace")
        )
    except (KeyError, OSError) as error:
        raise UsageError(f"--head configmap:{name} works in a pod only; name a file elsewhere") from error
    host = f"[{host}]" if ":" in host else host
    what = f"config map {name} in namespace {namespace}"
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/merge-patch+json"}
    session = requests.Session()
    # Neither HTTP_PROXY nor ~/.netrc: the API server is in this cluster.
    session.trust_env = False
    try:
        answer = session.request(
            method,
            f"https://{host}:{port}/api/v1/namespaces/{namespace}/configmaps/{name}",
            json=body,
            headers=headers,
            timeout=SECONDS,
            verify=str(POD / "ca.crt"),
            allow_redirects=False,
        )
    except (requests.RequestException, OSError) as error:
        raise PlatformError(f"{what}: the Kubernetes API at {host}:{port} does not answer") from error
    if answer.status_code == requests.codes.not_found:
        raise UsageError(f"{what} is not there; `kubectl create configmap {name}` makes it")
    if answer.status_code in (requests.codes.unauthorized, requests.codes.forbidden):
        raise PlatformError(f"{what}: refused; this account needs get and patch on it")
    if not answer.ok and answer.status_code != CONFLICT:
        raise PlatformError(f"{what}: HTTP {answer.status_code}")
    return answer

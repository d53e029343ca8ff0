"""Read and replace one key of a ConfigMap, through the Kubernetes API with the account of this pod."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.core.errors import PlatformError, UsageError

if TYPE_CHECKING:
    import requests

POD = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""The folder where Kubernetes puts a pod's token, namespace and CA."""

KEY = "head"
TRIES = 5
SECONDS = (5, 30)
CONFLICT = 409


def read_key(name: str) -> str:
    """Return the value of the key, "" if the ConfigMap does not have it.

    Raises:
        UsageError: there is no such ConfigMap, or this process is not in a pod.
        PlatformError: the API cannot be reached, or refuses.
    """
    return _value(_call("GET", name).json())


def replace_key(name: str, change: Callable[[str], str | None]) -> None:
    """Replace the value of the key by what ``change`` returns for it; None keeps the value.

    If another writer was faster, the value is read and changed again.

    Raises:
        UsageError: there is no such ConfigMap, or this process is not in a pod.
        PlatformError: the API cannot be reached, or refuses.
    """
    for _ in range(TRIES):
        config_map = _call("GET", name).json()
        value = change(_value(config_map))
        if value is None:
            return
        version = config_map["metadata"]["resourceVersion"]
        body = {"metadata": {"resourceVersion": version}, "data": {KEY: value}}
        if _call("PATCH", name, body).status_code != CONFLICT:
            return
    raise PlatformError(f"config map {name}: other writers keep changing it; run the command again")


def _value(config_map: dict[str, Any]) -> str:
    return str((config_map.get("data") or {}).get(KEY, ""))


def _call(method: str, name: str, body: dict[str, Any] | None = None) -> "requests.Response":
    """Send a request and return its answer, which is a success or a conflict."""
    import requests

    try:
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
        token, namespace = (
            (POD / file).read_text(encoding="ascii").strip() for file in ("token", "namespace")
        )
    except (KeyError, OSError) as error:
        raise UsageError(f"--head configmap:{name} works in a pod only; elsewhere, give a file") from error
    host = f"[{host}]" if ":" in host else host
    what = f"config map {name} in namespace {namespace}"
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/merge-patch+json"}
    session = requests.Session()
    # The API server is in this cluster: HTTP_PROXY and ~/.netrc do not apply.
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
        raise UsageError(f"{what} is missing; `kubectl create configmap {name}` creates it")
    if answer.status_code in (requests.codes.unauthorized, requests.codes.forbidden):
        raise PlatformError(f"{what}: refused; this account needs get and patch on it")
    if not answer.ok and answer.status_code != CONFLICT:
        raise PlatformError(f"{what}: HTTP {answer.status_code}")
    return answer

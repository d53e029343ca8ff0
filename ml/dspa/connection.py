"""Address and credentials of the DSPA, from options, JUKEBOX_* variables and the pod's service account."""

import ipaddress
import os
import re
from pathlib import Path
from urllib.parse import urlparse

from pydantic import BaseModel, ConfigDict, SecretStr

from ml.core.errors import UsageError
from ml.dspa.dashboard import experiments_page

POD = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""The folder of a pod's token and namespace, and in OpenShift of the service CA."""

TOKEN = "JUKEBOX_TOKEN"  # noqa: S105 - the variable's name
ADDRESS = re.compile(r"https?://[^\s/?#\\]+(/[^\s\\]*)?([?#]\S*)?")
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class Connection(BaseModel):
    """Address and credentials of one DSPA. The token is a value or a file, which is read for every request.

    ``experiments`` is the dashboard's page of experiments, "" if it was not given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str
    dspa: str = "dspa"
    namespace: str = ""
    ca: Path | None = None
    token_file: Path | None = None
    token_value: SecretStr | None = None
    experiments: str = ""
    pipeline_root: str = ""

    def token(self) -> str:
        """Return the current token, "" for none.

        Raises:
            OSError: its file cannot be read.
            ValueError: its file has no token. The message does not quote the content.
        """
        if self.token_value is not None:
            return self.token_value.get_secret_value()
        return _token_in(self.token_file) if self.token_file else ""

    @property
    def rule(self) -> str:
        """A sentence about the Role that a service account needs."""
        return (
            f"its account needs a Role{self._where} with the verbs get and create on "
            "datasciencepipelinesapplications/api (apiGroup datasciencepipelinesapplications.opendatahub.io, "
            f"resourceNames [{self.dspa}])"
        )

    @property
    def missing_right(self) -> str:
        """What to do if the token is accepted, but lacks the right."""
        return f"{self.rule}; the DSPA's proxy may still refuse for some minutes after the Role was granted"

    @property
    def rule_of_route(self) -> str:
        """What to do if the proxy may be an oauth-proxy, which answers with a login page instead of a 403."""
        return (
            f"{self.rule}, and, if the DSPA has an oauth-proxy, the verb get on routes (apiGroup "
            f"route.openshift.io, resourceNames [ds-pipeline-{self.dspa}])"
        )

    @property
    def _where(self) -> str:
        return f" in namespace {self.namespace}" if self.namespace else ""


def connect(
    host: str | None,
    dspa: str,
    namespace: str | None,
    ca: Path | None,
    token_file: Path | None,
    dashboard: str = "",
    pipeline_root: str = "",
    pod: Path = POD,
) -> Connection:
    """Return a connection from the options, completed from the pod's service account.

    Raises:
        UsageError: host, token or CA is missing or invalid, or the dashboard is not an address.
    """
    namespace = namespace_of(namespace, pod)
    for flag, name in (("--dspa", dspa), ("--namespace", namespace)):
        if name and not NAME.fullmatch(name):
            raise UsageError(f"{flag} {name!r}: not a valid Kubernetes name")
    if not host:
        if not namespace:
            raise UsageError("no DSPA: give --host https://ds-pipeline-… (oc get route ds-pipeline-dspa)")
        host = f"https://ds-pipeline-{dspa}.{namespace}.svc:8443"
    host = _checked(host)
    inside = (urlparse(host).hostname or "").endswith((".svc", ".svc.cluster.local"))
    if ca is None and inside and (pod / "service-ca.crt").is_file():
        ca = pod / "service-ca.crt"
    if ca is not None and not (ca.is_file() and os.access(ca, os.R_OK)):
        raise UsageError(f"--ca {ca}: cannot be read; it is a file of PEM certificates")
    value = os.environ.get(TOKEN, "").strip()
    if token_file is None and not value and (pod / "token").is_file():
        token_file = pod / "token"
    if token_file is not None:
        try:
            _token_in(token_file)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise UsageError(f"--token-file {token_file}: {reason}") from None
    if token_file is None and not value and not _is_loopback(host):
        raise UsageError(f"no token: set {TOKEN} (oc whoami -t prints one), or give --token-file")
    if value and not _fits_header(value):
        raise UsageError(f"{TOKEN} is not a token: it has characters that an HTTP header cannot have")
    return Connection(
        host=host,
        dspa=dspa,
        namespace=namespace,
        ca=ca,
        token_file=token_file,
        token_value=SecretStr(value) if value and token_file is None else None,
        experiments=_experiments(dashboard) if dashboard else "",
        pipeline_root=pipeline_root,
    )


def namespace_of(namespace: str | None, pod: Path = POD) -> str:
    """Return the given namespace, else that of this pod; "" outside a pod."""
    return namespace or _read(pod / "namespace")


def _checked(host: str) -> str:
    """Return the address of the DSPA without its last slash.

    Raises:
        UsageError: it is not an allowed address.
    """
    host = host.strip()
    try:
        parsed = urlparse(host)
        known = parsed.scheme in ("http", "https") and bool(ADDRESS.fullmatch(host)) and parsed.port != 0
    except ValueError:
        known = False
    if not known:
        raise UsageError(f"--host {host.rpartition('@')[2]}: not a URL; write https://HOST[:PORT]")
    if parsed.username or parsed.password or "?" in host or "#" in host:
        raise UsageError(f"--host: {parsed.hostname}: remove the password and the query")
    if parsed.scheme == "http" and not _is_loopback(host):
        raise UsageError(f"--host {host}: http would send the token unencrypted; use https")
    return host.rstrip("/")


def _experiments(dashboard: str) -> str:
    try:
        return experiments_page(dashboard)
    except ValueError:
        raise UsageError(
            f"--dashboard {dashboard.rpartition('@')[2]}: not an address; copy one of its pages from the "
            "browser, as https://HOST/"
        ) from None


def _is_loopback(host: str) -> bool:
    name = urlparse(host).hostname or ""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _fits_header(token: str) -> bool:
    return token.isascii() and token.isprintable() and " " not in token


def _token_in(path: Path) -> str:
    token = path.read_bytes().strip().decode("ascii", "replace")
    if not token:
        raise ValueError("it is empty")
    if not _fits_header(token):
        raise ValueError("not a token: it has characters that an HTTP header cannot have")
    return token


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""

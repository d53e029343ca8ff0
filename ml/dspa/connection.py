"""Where the DSPA is, and who we are: from flags and JUKEBOX_* variables, and in a pod from the pod itself."""

import ipaddress
import os
import re
from pathlib import Path
from urllib.parse import urlparse

from pydantic import BaseModel, ConfigDict, SecretStr

from ml.core.errors import UsageError
from ml.dspa.dashboard import experiments_page

POD = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where Kubernetes puts a pod's token and namespace, and OpenShift the CA of its services."""

TOKEN = "JUKEBOX_TOKEN"  # noqa: S105 - the variable's name
ADDRESS = re.compile(r"https?://[^\s/?#\\]+(/[^\s\\]*)?([?#]\S*)?")
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class Connection(BaseModel):
    """How to reach one DSPA. The token is a variable's or a file's; a file is read for every request.

    ``experiments`` is where the dashboard has them, "" where nobody has said it.
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
        """Return the token as it is now, "" for none.

        Raises:
            OSError: its file cannot be read.
            ValueError: its file holds no token. The message does not quote it.
        """
        if self.token_value is not None:
            return self.token_value.get_secret_value()
        return _token_in(self.token_file) if self.token_file else ""

    @property
    def rule(self) -> str:
        """The right that a service account needs, in words."""
        return (
            f"its account needs a Role{self._where} with the verbs get and create on "
            "datasciencepipelinesapplications/api (apiGroup datasciencepipelinesapplications.opendatahub.io, "
            f"resourceNames [{self.dspa}])"
        )

    @property
    def missing_right(self) -> str:
        """What to do about a token that is accepted, and may not do this."""
        return f"{self.rule}; the DSPA's proxy may go on refusing for some minutes after it was given"

    @property
    def rule_of_route(self) -> str:
        """What to do where the proxy is an oauth-proxy, which shows a login page instead of refusing."""
        return (
            f"{self.rule}, and where the DSPA has an oauth-proxy the verb get on routes (apiGroup "
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
    """Complete what a user has said with what the pod knows.

    Raises:
        UsageError: host, token or CA is missing or cannot be used, or the dashboard is no address.
    """
    namespace = namespace_of(namespace, pod)
    for flag, name in (("--dspa", dspa), ("--namespace", namespace)):
        if name and not NAME.fullmatch(name):
            raise UsageError(f"{flag} {name!r}: not a name of Kubernetes")
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
        raise UsageError(f"{TOKEN} holds no token: it has characters that no header may have")
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
    """Return the namespace of the runs as it was given, or this pod's own; "" outside of one."""
    return namespace or _read(pod / "namespace")


def _checked(host: str) -> str:
    """Return the address of the DSPA without a slash at its end, if it may be used."""
    host = host.strip()
    try:
        parsed = urlparse(host)
        known = parsed.scheme in ("http", "https") and bool(ADDRESS.fullmatch(host)) and parsed.port != 0
    except ValueError:
        known = False
    if not known:
        raise UsageError(f"--host {host.rpartition('@')[2]}: not a URL; write https://HOST[:PORT]")
    if parsed.username or parsed.password or "?" in host or "#" in host:
        raise UsageError(f"--host: {parsed.hostname}: neither a password nor a query belongs there")
    if parsed.scheme == "http" and not _is_loopback(host):
        raise UsageError(f"--host {host}: http would send the token in the open; use https")
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
        raise ValueError("it holds no token: it has characters that no header may have")
    return token


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""

"""Checks of `jukebox doctor` on the way to the DSPA: name, connection, certificate."""

import socket
import ssl
from urllib.parse import urlparse

from ml.core.within import NotInTime, call_within
from ml.dspa.connection import Connection
from ml.dspa.doctor_check import Failed
from ml.dspa.timeouts import Timeouts


def _address(connection: Connection) -> tuple[str, int]:
    parsed = urlparse(connection.host)
    return parsed.hostname or "", parsed.port or (443 if parsed.scheme == "https" else 80)


def check_name(connection: Connection, timeouts: Timeouts) -> str:
    """Return the address of the host."""
    name, port = _address(connection)
    try:
        addresses = call_within(
            timeouts.connect, lambda: socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
        )
    except (OSError, UnicodeError, NotInTime) as error:
        raise Failed(
            f"{name} cannot be resolved ({error or 'no answer'})",
            "correct --host: oc get route ds-pipeline-dspa -o jsonpath='{.spec.host}'",
        ) from error
    return str(addresses[0][4][0])


def check_connection(connection: Connection, timeouts: Timeouts) -> str:
    """Connect, and return the port."""
    name, port = _address(connection)
    try:
        socket.create_connection((name, port), timeout=timeouts.connect).close()
    except OSError as error:
        raise Failed(
            f"port {port} does not answer ({error})",
            "check the port (8443 in the cluster), NetworkPolicies and firewalls",
        ) from error
    return f"port {port}"


def check_certificate(connection: Connection, timeouts: Timeouts) -> str:
    """Check the certificate, and return until when it is valid."""
    name, port = _address(connection)
    if connection.host.startswith("http://"):
        return "none: plain http on loopback"
    try:
        import certifi

        context = ssl.create_default_context(cafile=str(connection.ca) if connection.ca else certifi.where())
        with (
            socket.create_connection((name, port), timeout=timeouts.connect) as raw,
            context.wrap_socket(raw, server_hostname=name) as secure,
        ):
            expiry = str(secure.getpeercert().get("notAfter", ""))  # type: ignore[union-attr]
    except ssl.SSLCertVerificationError as error:
        trusted = connection.ca or "the CAs of this Python"
        raise Failed(
            f"not trusted by {trusted}: {error.verify_message}",
            "give the CA with --ca FILE: the ingress CA for a route (configmap default-ingress-cert in "
            "openshift-config-managed), the service CA for a service",
        ) from error
    except (OSError, ValueError) as error:
        raise Failed(f"no TLS: {error}", "check the port; give --ca a file of PEM certificates") from error
    return f"valid until {expiry}"

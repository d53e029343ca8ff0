"""Check that this process is isolated: before it loads a model, it must be unable to send anything.

NetworkPolicies are not enforced everywhere, and a secret is easily mounted. So the process that runs a model
first looks for credentials, and tries to reach the API server, the DNS and the store. The attestation has
what it tried, with the results.
"""

import os
import re
import secrets
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ml.core.errors import PlatformError, UsageError

SECONDS = 2.0
"""Seconds that a place has to answer."""

CREDENTIALS = re.compile(
    r"AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|PROFILE|WEB_IDENTITY_TOKEN_FILE|ROLE_ARN|"
    r"SHARED_CREDENTIALS_FILE|CONFIG_FILE|CONTAINER_\w+)|KUBECONFIG|(\w+_)?(TOKEN|PASSWORD|SECRET|API_KEY)"
)
"""Variables that hold or name a credential."""

TOKENS = (Path("/var/run/secrets/kubernetes.io/serviceaccount/token"),)
RESOLVER = Path("/etc/resolv.conf")

REMEDY = (
    "measure in the Task `measure`, under a NetworkPolicy that its network plugin enforces and without an "
    "account's token, or with `jukebox judge attest`, which makes a place without a network"
)

Probe = Callable[[str, int], bool]


def require_isolation(store: str, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the result of trying to reach each place that must be out of reach.

    Args:
        store: host and port of the object store, "" where there is none to reach.
        environment: the variables of this process.

    Raises:
        UsageError: there is a credential in this process's reach; the message names where, not what.
        PlatformError: a place answers.
    """
    in_reach = sorted(name for name in environment if CREDENTIALS.fullmatch(name) and environment[name])
    in_reach += [str(path) for path in TOKENS if path.exists()]
    if in_reach:
        raise UsageError(f"a model must not run beside credentials ({', '.join(in_reach)}): {REMEDY}")
    places = [*_api_server(environment), *_resolvers(), *_store(store)]
    with ThreadPoolExecutor(max(1, len(places))) as pool:
        outcomes = list(pool.map(lambda place: _outcome(*place[1:]), places))
    tried = {name: outcome for (name, *_), outcome in zip(places, outcomes, strict=True)}
    if reached := [name for name, outcome in tried.items() if outcome == ANSWERED]:
        raise PlatformError(f"a model must not run where these answer: {', '.join(reached)}; {REMEDY}")
    known = {name.partition(" ")[0] for name in tried}
    return {
        **tried,
        **{name: "no address known here" for name in ("api-server", "dns", "store") if name not in known},
    }


ANSWERED = "answered"

Place = tuple[str, Probe, str, int]
"""What a place is called, how it is tried, its host and its port."""


def _api_server(environment: Mapping[str, str]) -> list[Place]:
    host, port = (environment.get(f"KUBERNETES_SERVICE_{name}", "") for name in ("HOST", "PORT"))
    return [(f"api-server {host}", _connects, host, int(port) if port.isdigit() else 443)] if host else []


def _resolvers() -> list[Place]:
    try:
        lines = RESOLVER.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    words = [line.split() for line in lines]
    hosts = [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"]
    return [
        place
        for host in dict.fromkeys(hosts)
        for place in ((f"dns udp {host}", _resolves, host, 53), (f"dns tcp {host}", _connects, host, 53))
    ]


def _store(address: str) -> list[Place]:
    host, _, port = address.rpartition(":")
    return [(f"store {host}", _connects, host.strip("[]"), int(port))] if host else []


def _outcome(probe: Probe, host: str, port: int) -> str:
    try:
        return ANSWERED if probe(host, port) else "no answer"
    except TimeoutError:
        return f"no answer in {SECONDS:g} s"
    except OSError as error:
        return error.strerror or type(error).__name__


def _connects(host: str, port: int) -> bool:
    """Tell whether a TCP connection is accepted."""
    socket.create_connection((host, port), timeout=SECONDS).close()
    return True


def _resolves(host: str, port: int) -> bool:
    """Tell whether a DNS server answers a question about the root, whatever it says (RFC 1035)."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as client:
        client.settimeout(SECONDS)
        client.connect(address)
        # A header with one question: the name of no labels, type NS, class IN.
        client.send(secrets.token_bytes(2) + b"\1\0\0\1\0\0\0\0\0\0" + b"\0\0\2\0\1")
        return bool(client.recv(512))

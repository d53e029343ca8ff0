"""Open a bucket by its URI: endpoint, region, CA and credentials come from the usual AWS_* variables.

The variables of an OpenShift AI data connection are among them. Every wait is bounded, and an error of
obstore, which has many lines, becomes one line. The environment is read and never changed: the command and
each step have cleaned it (`ml.core.environment`).
"""

import os
import re
import socket
import ssl
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import ParseResult, unquote, urlparse

from obstore.exceptions import BaseError
from obstore.store import ObjectStore, S3Store

from ml.core.environment import unclean_variable
from ml.core.errors import PlatformError, UsageError
from ml.storage.explain import NO_CREDENTIALS, explain

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config

ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AWS_S3_ENDPOINT")
"""The first that is set is used. A data connection has the last one, which may omit the scheme."""

BUCKET = "[0-9A-Za-z._-]+"
DEFAULT_REGION = "us-east-1"

ENDPOINT = re.compile(r"https?://(\[[0-9a-fA-F:.]+\]|[\w.-]+)(:[0-9]{1,5})?(/[\w./~-]*)?", re.ASCII)

WORDS = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN"), "[!-~]+")
WORDS |= dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION"), "[0-9A-Za-z-]+")
"""The values that these variables may have; obstore panics on others."""

CREDENTIALS: tuple[frozenset[str], ...] = (
    frozenset({"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}),
    frozenset({"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"}),
    frozenset({"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"}),
    frozenset({"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"}),
    frozenset({"AWS_SKIP_SIGNATURE"}),
)
"""The variables of a key, a web identity, a container's and a pod's role, and of a public bucket."""


METADATA = "http://169.254.169.254"
PROBE = 2.0
"""Seconds for a connection to the metadata service of an EC2 instance."""

TIMEOUTS: "ClientConfig" = {"connect_timeout": "10s", "read_timeout": "60s", "timeout": "1h"}
"""obstore limits a whole transfer to 30 s by default, which is too short for a large table."""

RETRY: "RetryConfig" = {
    "retry_timeout": timedelta(seconds=45),
    "backoff": {"max_backoff": timedelta(seconds=5)},
}
"""No attempt begins after 45 s; connecting takes ten seconds at most, so the error comes within a minute."""


def open_bucket(uri: str, parsed: ParseResult) -> ObjectStore:
    """Open a prefix in a bucket; obstore finds the credentials.

    Raises:
        UsageError: the URI cannot be used, or an AWS_* variable is malformed or missing.
        PlatformError: the object store cannot be opened.
    """
    if "@" in parsed.netloc:
        raise UsageError("credentials in an s3:// URI would be written down; use the AWS_* variables")
    if name := unclean_variable():
        raise UsageError(f"{name} is blank or has white space around its value: unset it, or correct it")
    for name, word in WORDS.items():
        if name in os.environ and not re.fullmatch(word, os.environ[name]):
            raise UsageError(f"{name} is malformed: it contains a blank or a character that is not allowed")
    endpoint = endpoint_url()
    config: S3Config = {"region": region()}
    if endpoint:
        config["aws_endpoint_url_s3"] = endpoint
    client: ClientConfig = {**TIMEOUTS, "allow_http": endpoint.startswith("http://")}
    if certificates := _certificates(os.environ.get("AWS_CA_BUNDLE", "")):
        client["root_certificate"] = certificates
    _require_credentials()
    try:
        return S3Store(
            _bucket(parsed),
            prefix=unquote(parsed.path) or None,
            config=config,
            client_options=client,
            retry_config=RETRY,
        )
    except (BaseError, ValueError) as error:
        raise PlatformError(f"cannot open {uri}: {explain(error)}; check URI and AWS_* variables") from error


def region() -> str:
    """Return the region that the variables name."""
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or DEFAULT_REGION


def _require_credentials() -> None:
    """Check that the variables name credentials, or that a metadata service accepts connections.

    obstore falls back to the metadata service of an EC2 instance, and waits long for one that is not there.

    Raises:
        UsageError: they name half a key, or there is no such service.
    """
    if ("AWS_ACCESS_KEY_ID" in os.environ) != ("AWS_SECRET_ACCESS_KEY" in os.environ):
        raise UsageError("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together: set both")
    if any(os.environ.keys() >= names for names in CREDENTIALS):
        return
    service = urlparse(os.environ.get("AWS_METADATA_ENDPOINT", METADATA))
    try:
        socket.create_connection((service.hostname or "", service.port or 80), timeout=PROBE).close()
    except OSError as error:
        raise UsageError(NO_CREDENTIALS) from error


def _bucket(parsed: ParseResult) -> str:
    if not re.fullmatch(BUCKET, parsed.netloc):
        raise ValueError("the bucket's name is missing or malformed")
    return parsed.netloc


def endpoint_url() -> str:
    """Return the endpoint that the variables name, "" for AWS itself.

    Raises:
        UsageError: it is no address.
    """
    name = next((name for name in ENDPOINTS if name in os.environ), "")
    endpoint = os.environ.get(name, "")
    if name == ENDPOINTS[-1] and "://" not in endpoint:
        endpoint = f"https://{endpoint}"
    try:
        sound = not name or (ENDPOINT.fullmatch(endpoint) and urlparse(endpoint).port != 0)
    except ValueError:
        sound = False
    if not sound:
        raise UsageError(f"{name} is malformed: write https://host or https://host:port")
    return endpoint.rstrip("/")


def _certificates(bundle: str) -> bytes:
    """Return the certificates in a file, b"" without one; the system's are trusted beside them."""
    if not bundle:
        return b""
    try:
        certificates = Path(bundle).read_bytes()
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(bundle)
    except ssl.SSLError as error:
        raise UsageError(f"AWS_CA_BUNDLE: {bundle} contains no certificates in PEM format") from error
    except OSError as error:
        raise UsageError(f"AWS_CA_BUNDLE: cannot read {bundle}: {error.strerror}") from error
    return certificates

"""A bucket by its URI: endpoint, region, CA and identity from the usual AWS_* variables.

The keys of an OpenShift AI data connection are among them. Every wait is bounded, and what obstore says in
thirty lines is said in one.
"""

import os
import re
import socket
import ssl
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import ParseResult, urlparse

from obstore.exceptions import BaseError
from obstore.store import ObjectStore, S3Store

from ml.core.errors import PlatformError, UsageError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AWS_S3_ENDPOINT")
"""The first that is set wins; the last is a data connection's, which may leave the scheme out."""

ENDPOINT = re.compile(r"https?://(\[[0-9a-fA-F:.]+\]|[\w.-]+)(:[0-9]{1,5})?(/[\w./~-]*)?", re.ASCII)

WORDS = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN"), "[!-~]+")
WORDS |= dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION"), "[0-9A-Za-z-]+")
"""What these variables may hold: anything else would panic in obstore."""

IDENTITIES = (
    ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"),
    ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
    ("AWS_SKIP_SIGNATURE",),
)
"""The variables that say who we are; without any of them only the role of an EC2 instance is left."""

NOBODY = "no credentials for S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
METADATA = "http://169.254.169.254"
PROBE = 2.0
"""Seconds in which an EC2 instance's metadata service has to accept a connection."""

TIMEOUTS: "ClientConfig" = {"connect_timeout": "10s", "read_timeout": "60s", "timeout": "1h"}
"""obstore gives a whole transfer 30 s by default; a large table may take its time, a silence may not."""

RETRY: "RetryConfig" = {
    "retry_timeout": timedelta(seconds=45),
    "backoff": {"max_backoff": timedelta(seconds=5)},
}
"""No new try after 45 s: with the last one's ten seconds to connect, an end within a minute."""

ANSWERS = {
    "NoSuchBucket": ("no such bucket", "create it, or correct the URI"),
    "InvalidAccessKeyId": ("unknown key", "check AWS_ACCESS_KEY_ID"),
    "SignatureDoesNotMatch": ("wrong secret", "check AWS_SECRET_ACCESS_KEY"),
    "AccessDenied": ("access denied", "the credentials may not do this; see the policy of the bucket"),
    "ExpiredToken": ("expired credentials", "renew AWS_SESSION_TOKEN and its key"),
    "InvalidToken": ("wrong session token", "check AWS_SESSION_TOKEN"),
    "PermanentRedirect": ("wrong region", "check AWS_REGION"),
    "AuthorizationHeaderMalformed": ("wrong region", "check AWS_REGION"),
    "RequestTimeTooSkewed": ("clocks differ", "set the clock of this machine"),
}
"""What S3 answers, and what to do about it."""

SILENCES = {
    r"InvalidCertificate\(\s*(\w+)": ("untrusted certificate", "name its CA's PEM file in AWS_CA_BUNDLE"),
    r"InvalidContentType": ("no TLS", "should the endpoint begin with http://?"),
    r"dns error": ("unknown host", "check the endpoint"),
    r"(Connection refused)": ("cannot connect", "check the endpoint"),
    r"TimedOut|kind: Timeout|deadline has elapsed": ("no answer in time", "check endpoint and network"),
    r"kind: (Connect|Request|Interrupted)": ("cannot connect", "check endpoint and network"),
}
"""What obstore's debug text says when nothing answered, most telling first."""


def open_bucket(uri: str, parsed: ParseResult) -> ObjectStore:
    """Open a prefix in a bucket.

    Raises:
        UsageError: the URI cannot be used, or an AWS_* variable is malformed or missing.
        PlatformError: the object store cannot be opened.
    """
    if "@" in parsed.netloc:
        raise UsageError("credentials in an s3:// URI would be written down; use the AWS_* variables")
    # obstore reads the environment too, and takes a blank value or a trailing newline at its word. A data
    # connection has blanks for what its author left out.
    for name, value in list(os.environ.items()):
        if name.startswith("AWS_") and not value.strip():
            os.environ.pop(name, None)
        elif name.startswith("AWS_") and value != value.strip():
            os.environ[name] = value.strip()
    for name, word in WORDS.items():
        if name in os.environ and not re.fullmatch(word, os.environ[name]):
            raise UsageError(f"{name} is malformed: it holds a blank or another strange character")
    endpoint = _endpoint()
    _require_identity()
    client: ClientConfig = {**TIMEOUTS, "allow_http": endpoint.startswith("http://")}
    if certificates := _trusted():
        client["root_certificate"] = certificates
    try:
        return S3Store.from_url(
            uri,
            config={"endpoint": endpoint} if endpoint else None,
            client_options=client,
            retry_config=RETRY,
        )
    except (BaseError, ValueError) as error:
        raise PlatformError(f"cannot open {uri}: {explain(error)}; check URI and AWS_* variables") from error


def _endpoint() -> str:
    """Return the endpoint that the environment names, "" for AWS itself."""
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


def _require_identity() -> None:
    """Refuse to begin as nobody: obstore would ask for an EC2 instance's role, and for long."""
    if bool(os.environ.get("AWS_ACCESS_KEY_ID")) != bool(os.environ.get("AWS_SECRET_ACCESS_KEY")):
        raise UsageError("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together: set both")
    if any(all(name in os.environ for name in names) for names in IDENTITIES):
        return
    service = urlparse(os.environ.get("AWS_METADATA_ENDPOINT", METADATA))
    try:
        socket.create_connection((service.hostname or "", service.port or 80), timeout=PROBE).close()
    except OSError as error:
        raise UsageError(NOBODY) from error


def _trusted() -> bytes:
    """Return the certificates of AWS_CA_BUNDLE, b"" without one; the system's stay trusted beside them."""
    bundle = os.environ.get("AWS_CA_BUNDLE", "")
    if not bundle:
        return b""
    try:
        certificates = Path(bundle).read_bytes()
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(bundle)
    except ssl.SSLError as error:
        raise UsageError(f"AWS_CA_BUNDLE: {bundle} holds no certificates in PEM format") from error
    except OSError as error:
        raise UsageError(f"AWS_CA_BUNDLE: cannot read {bundle}: {error.strerror}") from error
    return certificates


def explain(error: Exception) -> str:
    """Say in one line what happened, where, and what to do; obstore's messages go on for many, with XML."""
    text = str(error).strip()
    found = re.search(r"https?://[^/\s]+", text)
    if "/latest/api/token" in text or "/latest/meta-data" in text:
        return NOBODY
    status = re.search(r"status code: (\d{3})", text)
    if not found or not (status or "HTTP error" in text):
        return text.split("\n")[0].removeprefix("Generic S3 error: ")
    where = found[0]
    if status:
        code = re.search(r"<Code>(\w+)</Code>", text)
        said = code[1] if code else {"403": "AccessDenied"}.get(status[1], "")
        if said in ANSWERS:
            what, todo = ANSWERS[said]
            return f"{what} at {where}: {todo}"
        return f"HTTP {status[1]} {said}".strip() + f" at {where}"
    for pattern, (what, todo) in SILENCES.items():
        if match := re.search(pattern, text):
            detail = f" ({match[1]})" if match.groups() else ""
            return f"{what}{detail} at {where}: {todo}"
    return f"the request failed at {where}"

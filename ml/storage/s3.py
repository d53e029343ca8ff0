"""Open a bucket by its URI: endpoint, region, CA and credentials come from the usual AWS_* variables.

The variables of an OpenShift AI data connection are among them. Every wait is bounded, and an error of
obstore, which has many lines, becomes one line. The environment is read and never changed.
"""

import os
import re
import ssl
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import ParseResult, unquote, urlparse

from obstore.exceptions import BaseError
from obstore.store import ObjectStore, S3Store

from ml.core.errors import PlatformError, UsageError
from ml.storage.credentials import NoCredentials, credential_provider

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obstore.store import ClientConfig, RetryConfig, S3Config

ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AWS_S3_ENDPOINT")
"""The first that is set is used. A data connection has the last one, which may omit the scheme."""

BUCKET = "[0-9A-Za-z._-]+"
DEFAULT_REGION = "us-east-1"

ENDPOINT = re.compile(r"https?://(\[[0-9a-fA-F:.]+\]|[\w.-]+)(:[0-9]{1,5})?(/[\w./~-]*)?", re.ASCII)

WORDS = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN"), "[!-~]+")
WORDS |= dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION"), "[0-9A-Za-z-]+")
"""The values that these variables may have; obstore panics on others."""

DEFAULTS = {
    "checksum_algorithm": "",
    "conditional_put": "etag",
    "copy_if_not_exists": "",
    "disable_bulk_delete": "false",
    "disable_tagging": "false",
    "request_payer": "false",
    "s3_express": "false",
    "server_side_encryption": "",
    "skip_signature": "false",
    "sse_bucket_key_enabled": "",
    "sse_customer_key_base64": "",
    "sse_kms_key_id": "",
    "unsigned_payload": "false",
    "virtual_hosted_style_request": "false",
}
"""Other options that obstore reads from variables, and the value that means the same as an unset variable.

For some no value does: "".
"""

TIMEOUTS: "ClientConfig" = {"connect_timeout": "10s", "read_timeout": "60s", "timeout": "1h"}
"""obstore limits a whole transfer to 30 s by default, which is too short for a large table."""

RETRY: "RetryConfig" = {
    "retry_timeout": timedelta(seconds=45),
    "backoff": {"max_backoff": timedelta(seconds=5)},
}
"""No attempt begins after 45 s; connecting takes ten seconds at most, so the error comes within a minute."""

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
"""Error codes of S3: what each means, and what to do."""

SILENCES = {
    r"InvalidCertificate\(\s*(\w+)": ("untrusted certificate", "name its CA's PEM file in AWS_CA_BUNDLE"),
    r"InvalidContentType": ("no TLS", "should the endpoint begin with http://?"),
    r"dns error": ("unknown host", "check the endpoint"),
    r"(Connection refused)": ("cannot connect", "check the endpoint"),
    r"TimedOut|kind: Timeout|deadline has elapsed": ("no answer in time", "check endpoint and network"),
    r"kind: (Connect|Request|Interrupted)": ("cannot connect", "check endpoint and network"),
}
"""Patterns in obstore's text where there was no answer: what each means, and what to do."""


def open_bucket(uri: str, parsed: ParseResult) -> ObjectStore:
    """Open a prefix in a bucket.

    Raises:
        UsageError: the URI cannot be used, or an AWS_* variable is malformed or missing.
        PlatformError: the object store cannot be opened.
    """
    if "@" in parsed.netloc:
        raise UsageError("credentials in an s3:// URI would be written down; use the AWS_* variables")
    given = variables()
    for name, word in WORDS.items():
        if name in given and not re.fullmatch(word, given[name]):
            raise UsageError(f"{name} is malformed: it contains a blank or a character that is not allowed")
    config = _config(given)
    client: ClientConfig = {**TIMEOUTS, "allow_http": config.get("endpoint_url_s3", "").startswith("http://")}
    bundle = given.get("AWS_CA_BUNDLE", "")
    if certificates := _certificates(bundle):
        client["root_certificate"] = certificates
    provider = credential_provider(given, config["region"], bundle)
    try:
        return S3Store(
            _bucket(parsed),
            prefix=unquote(parsed.path) or None,
            config=cast("S3Config", {f"aws_{name}": value for name, value in config.items()}),
            client_options=client,
            retry_config=RETRY,
            credential_provider=provider,
        )
    except (BaseError, ValueError) as error:
        raise PlatformError(f"cannot open {uri}: {explain(error)}; check URI and AWS_* variables") from error


def variables() -> "Mapping[str, str]":
    """Return the AWS_* variables without white space around their values, and without blank ones."""
    given = {name: value.strip() for name, value in os.environ.items() if name.startswith("AWS_")}
    return {name: value for name, value in given.items() if value}


def _config(given: "Mapping[str, str]") -> dict[str, str]:
    """Return the options of the store, by the names of their variables without AWS_, in lower case.

    obstore reads the environment, too, takes blank and untrimmed values as they are, and cannot unset one.
    So each variable that is set is given explicitly, which has precedence.
    """
    config = {"region": given.get("AWS_REGION") or given.get("AWS_DEFAULT_REGION") or DEFAULT_REGION}
    for option, default in DEFAULTS.items():
        name = f"AWS_{option.upper()}"
        if name in os.environ:
            config[option] = given.get(name, default)
            if not config[option]:
                raise UsageError(f"{name} is blank: remove it, or give it a value")
    if endpoint := _endpoint(given):
        config["endpoint_url_s3"] = endpoint
    elif any(name in os.environ for name in ENDPOINTS):
        config["endpoint_url_s3"] = f"https://s3.{config['region']}.amazonaws.com"
        config["virtual_hosted_style_request"] = "false"
    return config


def _bucket(parsed: ParseResult) -> str:
    if not re.fullmatch(BUCKET, parsed.netloc):
        raise ValueError("the bucket's name is missing or malformed")
    return parsed.netloc


def _endpoint(given: "Mapping[str, str]") -> str:
    """Return the endpoint that the variables name, "" for AWS itself."""
    name = next((name for name in ENDPOINTS if name in given), "")
    endpoint = given.get(name, "")
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


def explain(error: Exception) -> str:
    """Return one line that says what happened, where, and what to do; a message of obstore has many lines."""
    text = str(error).strip()
    if refused := re.search(rf"{NoCredentials.__name__}: (.+)", text):
        return refused[1]
    address = re.search(r"https?://[^/\s]+", text)
    status = re.search(r"status code: (\d{3})", text)
    if not address or not (status or "HTTP error" in text):
        return text.split("\n")[0].removeprefix("Generic S3 error: ")
    where = address[0]
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

"""Credentials for S3: a key, a web identity, or the role of a container or of an EC2 instance.

obstore can find all of these itself, but it reads the environment: it takes a blank AWS_ACCESS_KEY_ID for a
key, and has no option that unsets a variable. A data connection has a blank variable for each value that its
author left out. So they are read here, from a cleaned copy of the environment.
"""

import datetime
import functools
import json
import re
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import urlencode, urlparse
from urllib.request import BaseHandler, HTTPSHandler, ProxyHandler, Request, build_opener

from ml.core.errors import UsageError

if TYPE_CHECKING:
    from obstore.store import S3Credential

NO_CREDENTIALS = "no credentials for S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
METADATA = "http://169.254.169.254"
CONTAINER = "http://169.254.170.2"
PROBE = 2.0
"""Seconds for a connection to the metadata service of an EC2 instance."""

TIMEOUT = 10.0
"""Seconds without a byte after which a request for credentials fails."""

PAUSES = (0.5, 2.0)
"""Seconds before the second and the third attempt."""

LARGEST = 1 << 20
"""Bytes of an answer that are read."""

SERVER_ERROR = 500
"""From this status on a request is sent again."""


class NoCredentials(Exception):
    """A service or file gives no credentials; the message is one line."""


def credential_provider(
    variables: Mapping[str, str], region: str, bundle: str
) -> "Callable[[], S3Credential]":
    """Return a function that returns the credentials that the environment names.

    Args:
        variables: the AWS_* variables, without blank ones.
        region: the region whose token service is asked.
        bundle: a PEM file that is trusted beside the system's certificates, "" for none.

    Raises:
        UsageError: the variables name half a key, or no credentials.
    """
    key, secret = variables.get("AWS_ACCESS_KEY_ID"), variables.get("AWS_SECRET_ACCESS_KEY")
    if bool(key) != bool(secret):
        raise UsageError("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together: set both")
    if key and secret:
        return functools.partial(_fixed, key, secret, variables.get("AWS_SESSION_TOKEN"))
    if variables.keys() >= {"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"}:
        return functools.partial(_web_identity, variables, region, bundle)
    if path := variables.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        return functools.partial(_role, f"{CONTAINER}{path}", {})
    if variables.keys() >= {"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"}:
        return functools.partial(_pod, variables)
    metadata = variables.get("AWS_METADATA_ENDPOINT", METADATA).rstrip("/")
    if "AWS_SKIP_SIGNATURE" not in variables:
        _require_service(metadata)
    return functools.partial(_instance, metadata)


def _fixed(key: str, secret: str, token: str | None) -> "S3Credential":
    return {"access_key_id": key, "secret_access_key": secret, "token": token, "expires_at": None}


def _web_identity(variables: Mapping[str, str], region: str, bundle: str) -> "S3Credential":
    """Exchange the token of a web identity for the credentials of its role."""
    service = variables.get("AWS_ENDPOINT_URL_STS", f"https://sts.{region}.amazonaws.com")
    if not service.startswith("https://"):
        raise NoCredentials(f"AWS_ENDPOINT_URL_STS {service}: a token is sent over https only")
    form = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": variables["AWS_ROLE_ARN"],
        "RoleSessionName": variables.get("AWS_ROLE_SESSION_NAME", "WebIdentitySession"),
        "WebIdentityToken": _token(variables["AWS_WEB_IDENTITY_TOKEN_FILE"]),
    }
    trusted = ssl.create_default_context()
    if bundle:
        trusted.load_verify_locations(bundle)
    answer = _send(Request(service, urlencode(form).encode()), HTTPSHandler(context=trusted))  # noqa: S310
    fields = dict(re.findall(r"<(AccessKeyId|SecretAccessKey|SessionToken|Expiration)>([^<]+)<", answer))
    return _credential({**fields, "Token": fields.get("SessionToken", "")}, service)


def _pod(variables: Mapping[str, str]) -> "S3Credential":
    """Return the credentials of the role of this pod."""
    token = _token(variables["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"])
    return _role(variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"], {"Authorization": token})


def _instance(service: str) -> "S3Credential":
    """Return the credentials of the role of this EC2 instance."""
    lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": "600"}
    folder = f"{service}/latest/meta-data/iam/security-credentials/"
    try:
        token = _send(Request(f"{service}/latest/api/token", headers=lifetime, method="PUT"))  # noqa: S310
        headers = {"X-aws-ec2-metadata-token": token}
        name = _send(Request(folder, headers=headers)).partition("\n")[0]  # noqa: S310
    except NoCredentials as error:
        raise NoCredentials(NO_CREDENTIALS) from error
    return _role(f"{folder}{name}", headers)


def _role(uri: str, headers: Mapping[str, str]) -> "S3Credential":
    """Return the credentials of a role from a service that answers in JSON."""
    answer = _send(Request(uri, headers=dict(headers)))  # noqa: S310
    try:
        return _credential(json.loads(answer), uri)
    except ValueError as error:
        raise NoCredentials(f"{uri} does not answer with credentials") from error


def _credential(fields: Mapping[str, str], service: str) -> "S3Credential":
    """Return the credentials in an answer, each by the name that AWS gives it."""
    try:
        return {
            "access_key_id": fields["AccessKeyId"],
            "secret_access_key": fields["SecretAccessKey"],
            "token": fields["Token"],
            "expires_at": datetime.datetime.fromisoformat(fields["Expiration"]),
        }
    except (KeyError, TypeError, ValueError) as error:
        raise NoCredentials(f"{service} does not answer with credentials") from error


def _token(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise NoCredentials(f"cannot read the token file {path}: {error}") from error


def _send(request: Request, https: BaseHandler | None = None) -> str:
    """Return the answer to a request; only one over https may go through a proxy."""
    opener = build_opener(https or ProxyHandler({}))
    pauses = iter(PAUSES)
    while True:
        try:
            with opener.open(request, timeout=TIMEOUT) as answer:
                return bytes(answer.read(LARGEST)).decode(errors="replace")
        except (OSError, HTTPException) as error:
            pause = next(pauses, None)
            if pause is None or (isinstance(error, HTTPError) and error.code < SERVER_ERROR):
                where = request.full_url.partition("?")[0]
                raise NoCredentials(f"cannot get credentials from {where}: {error}") from error
            time.sleep(pause)


def _require_service(address: str) -> None:
    """Check that an instance's metadata service accepts connections; a request to it may take long to fail.

    Raises:
        UsageError: it does not.
    """
    service = urlparse(address)
    try:
        socket.create_connection((service.hostname or "", service.port or 80), timeout=PROBE).close()
    except OSError as error:
        raise UsageError(NO_CREDENTIALS) from error

"""Check the connection to the DSPA and to the buckets, and say how to correct each problem.

Each check does what `jukebox submit` does, with an object that is absent or that the check created. A check
is skipped if a check that it needs has failed, so the first failure is the one to correct.
"""

import base64
import datetime
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from ml.core.errors import JukeboxError
from ml.core.within import NotInTime, call_within
from ml.dspa.client import Client
from ml.dspa.connection import Connection
from ml.dspa.connection_checks import check_certificate, check_connection, check_name
from ml.dspa.denied import attempts
from ml.dspa.doctor_check import DoctorCheck, Failed
from ml.dspa.failures import Refused, Rejected, Untrusted
from ml.dspa.settings_checks import check_settings
from ml.dspa.store_checks import compare_judge, try_place
from ml.dspa.timeouts import Timeouts

SKEW = 60
"""Seconds that two clocks may differ. S3 refuses requests at 15 minutes; tokens expire to the second."""

NOBODY = "00000000-0000-4000-8000-000000000000"
"""An id that no run has: terminating it needs the right to POST, and has no effect."""


def examine(
    connection: Connection,
    places: Mapping[str, str],
    timeouts: Timeouts | None = None,
    *,
    closed: Mapping[str, str] | None = None,
    checkout: Path | None = None,
) -> list[DoctorCheck]:
    """Check the DSPA, the places in the object store, and what the runs' key must not reach.

    Args:
        connection: the DSPA.
        places: URIs by their purpose; an empty one is skipped.
        timeouts: how long to wait for an answer.
        closed: the URIs of ``holdout`` and of each source table, where the AWS_* variables hold the runs'
            key; these, the promoted models and the log must be closed to it.
        checkout: a folder with the overlays of Tekton, whose settings are checked; None for none.
    """
    timeouts = timeouts or Timeouts(request=20)
    client = Client(connection, timeouts)
    checks: list[DoctorCheck] = []

    def check(name: str, probe: Callable[[], str], *, needs: str = "") -> None:
        passed = {known.name for known in checks if known.result == "ok"}
        if needs and needs not in passed:
            checks.append(DoctorCheck(name=name, result="skipped", detail=f"needs {needs}"))
            return
        try:
            checks.append(DoctorCheck(name=name, result="ok", detail=probe()))
        except Failed as error:
            checks.append(DoctorCheck(name=name, result="failed", detail=error.detail, remedy=error.remedy))
        except NotInTime:
            detail, remedy = "no answer in time", "check endpoint and network"
            checks.append(DoctorCheck(name=name, result="failed", detail=detail, remedy=remedy))
        except JukeboxError as error:
            remedy = _remedy(error)
            detail = str(error).removesuffix(remedy).rstrip(":; ")
            checks.append(DoctorCheck(name=name, result="failed", detail=detail, remedy=remedy))

    if checkout:
        check("settings", lambda: check_settings(checkout))
    check("name", lambda: check_name(connection, timeouts))
    check("connection", lambda: check_connection(connection, timeouts), needs="name")
    check("certificate", lambda: check_certificate(connection, timeouts), needs="connection")
    check("token", lambda: _token(connection))
    check("read (GET)", lambda: _version(client), needs="certificate")
    check("clock", lambda: _clock(client), needs="read (GET)")
    check("write (POST)", lambda: _post(client), needs="certificate")
    for name, uri in places.items():
        if uri:
            check(f"{name} bucket", lambda uri=uri: try_place(uri, timeouts))  # type: ignore[misc]
        else:
            checks.append(DoctorCheck(name=f"{name} bucket", result="skipped", detail=f"give --{name}"))
    if places.get("store"):
        check("judge", lambda: compare_judge(places["store"], timeouts), needs="store bucket")
    if closed is not None:
        tables = {name: uri for name, uri in closed.items() if name != "holdout"}
        for name, attempt, option in attempts(places.get("store", ""), closed["holdout"], tables):
            if attempt:
                check(name, lambda attempt=attempt: call_within(timeouts.storage, attempt))  # type: ignore[misc]
            else:
                checks.append(DoctorCheck(name=name, result="skipped", detail=f"give {option} s3://…"))
    return checks


def _remedy(error: JukeboxError) -> str:
    if isinstance(error, Refused):
        return error.remedy
    if isinstance(error, Untrusted):
        return "give the CA's certificate with --ca FILE"
    return "see the message; for S3, the AWS_* variables set endpoint and key"


def _token(connection: Connection) -> str:
    try:
        token = connection.token()
    except (OSError, ValueError) as error:
        raise Failed(f"cannot be used: {error}", "check --token-file") from error
    if not token:
        return "none: loopback"
    expiry = _claims(token).get("exp")
    try:
        end = datetime.datetime.fromtimestamp(float(str(expiry)), datetime.UTC)
    except (ValueError, OverflowError, OSError):
        return "has no readable expiry"
    if end < datetime.datetime.now(datetime.UTC):
        raise Failed(
            f"expired at {end:%Y-%m-%d %H:%M:%SZ}", "fetch a new one: oc whoami -t, or oc create token"
        )
    return f"valid until {end:%Y-%m-%d %H:%M:%SZ}"


def _claims(token: str) -> dict[str, object]:
    """Return the claims of a JWT; OpenShift's own tokens have none."""
    parts = token.split(".")
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, IndexError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _version(client: Client) -> str:
    health, _ = client.health()
    return f"version {health.tag_name or health.commit_sha or 'unknown'}"


def _clock(client: Client) -> str:
    _, date = client.health()
    if date is None:
        return "the server sends no time"
    skew = abs((datetime.datetime.now(datetime.UTC) - date).total_seconds())
    if skew > SKEW:
        raise Failed(
            f"differs by {skew:.0f} s from the server's", "set the clock: chronyc makestep, or the node's"
        )
    return f"within {SKEW} s of the server's"


def _post(client: Client) -> str:
    try:
        client.terminate(NOBODY)
    except Rejected:
        return "the API server answered"
    raise Failed("terminating a run that does not exist succeeded", "check that --host is a DSPA")

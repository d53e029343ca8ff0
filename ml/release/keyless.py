"""Keyless signatures: instead of a stored key, an identity signs with a key that is certified for minutes.

To sign, the identity's token is sent to Fulcio, which certifies a new key for this one signature. The
envelope is sent to a transparency log (Rekor), which records the time. The attestation is then a Sigstore
bundle with the certificate and the log entry, and is verified without a network. The client trust
configuration of a site, the file that ``sigstore --trust-config`` takes, has its services and their root
certificates.
"""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.core.errors import EvidenceError, PlatformError, UsageError
from ml.core.records import Record, Text
from ml.core.within import NotInTime, call_within
from ml.gate.statement import PAYLOAD_TYPE
from ml.release.key_files import identified, read_text

if TYPE_CHECKING:
    from sigstore.models import ClientTrustConfig

MOST = 60.0
"""Seconds for all services together; their client has no timeouts."""

LONGEST_REASON = 200
"""Characters of a reason in a message."""

NOT_OURS = "take the attestation that `jukebox judge` signed"

CONFIG = "give the site's Sigstore client trust configuration, as `sigstore --trust-config` takes it"


class Identity(Record):
    """Who may sign: the name in the certificate, and the issuer of the token behind it."""

    identity: Text
    issuer: Text


@dataclass(frozen=True)
class Sigstore:
    """The services of a site and their root certificates; ``source`` is its name in messages."""

    source: str
    config: "ClientTrustConfig"


def sigstore_in(path: str | Path) -> Sigstore:
    """Read the client trust configuration of a site from a file, to sign.

    Raises:
        UsageError: it cannot be read, or lacks Fulcio or the transparency log.
    """
    from sigstore.errors import Error

    where = f"the Sigstore configuration {path}"
    try:
        value = json.loads(read_text(path, where, CONFIG))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is not JSON; {CONFIG}") from error
    site = read_sigstore(value, where)
    try:
        site.config.signing_config  # noqa: B018 - the property parses its part of the file
    except (Error, TypeError, ValueError) as error:
        raise UsageError(f"{where}: {brief(error)}; {CONFIG}") from error
    return site


def read_sigstore(value: Any, where: str) -> Sigstore:
    """Return the services and root certificates of a client trust configuration.

    Args:
        value: the configuration, as JSON.
        where: its name in messages.

    Raises:
        UsageError: it is not a client trust configuration.
    """
    from sigstore.errors import Error
    from sigstore.models import ClientTrustConfig

    try:
        config = ClientTrustConfig.from_json(json.dumps(value))
        config.trusted_root.get_fulcio_certs()
    except (Error, TypeError, ValueError) as error:
        raise UsageError(f"{where}: {brief(error)}; {CONFIG}") from error
    return Sigstore(where, config)


def sign_bytes(statement: bytes, site: Sigstore, token_file: str | Path) -> bytes:
    """Return the Sigstore bundle around an in-toto statement.

    Args:
        statement: the bytes to sign.
        site: the services to use.
        token_file: a file with an OpenID Connect token for the audience ``sigstore``, such as Kubernetes
            issues to a service account. It is sent to Fulcio; messages do not contain it.

    Raises:
        UsageError: the token is missing, malformed or expired.
        PlatformError: a service does not answer, or refuses.
    """
    from sigstore.dsse import Statement
    from sigstore.oidc import IdentityError, IdentityToken
    from sigstore.sign import SigningContext

    where = f"the identity token {token_file}"
    remedy = "give a token for the audience sigstore; a pod gets one from a projected volume"
    try:
        token = IdentityToken(read_text(token_file, where, remedy).strip())
    except IdentityError as error:
        raise UsageError(f"{where} is malformed, expired, or for another audience; {remedy}") from error

    def signed() -> bytes:
        with SigningContext.from_trust_config(site.config).signer(token) as signer:
            return signer.sign_dsse(Statement(statement)).to_json().encode()

    try:
        return call_within(MOST, signed)
    except NotInTime:
        raise PlatformError(f"{site.source}: Fulcio or the log did not answer within {MOST:.0f} s") from None
    except Exception as error:
        # The client raises errors of many libraries, and each means that there is no bundle.
        raise PlatformError(f"{site.source}: the attestation cannot be signed: {_answer(error)}") from error


def open_bundle(
    data: bytes, identities: tuple[Identity, ...], site: Sigstore, source: str
) -> tuple[bytes, str, str]:
    """Return the payload of a bundle that one of the identities has signed.

    The site's Fulcio must have issued the certificate and logged it, and the transparency log must have the
    signature from a time when the certificate was valid. The age of the signature is not checked.

    Args:
        data: the bundle.
        identities: those that may sign.
        site: the site whose root certificates are trusted; its services are not used.
        source: the name of the trust root in messages.

    Returns:
        the payload, the id of the certified key, and the identity with its issuer.

    Raises:
        EvidenceError: the bundle is malformed or was changed, no identity of these has signed it, or it does
            not contain an in-toto statement.
    """
    from sigstore.errors import Error
    from sigstore.models import Bundle
    from sigstore.verify import Verifier
    from sigstore.verify.policy import Identity as Named

    reason = ""
    try:
        bundle = Bundle.from_json(data)
        verifier = Verifier(trusted_root=site.config.trusted_root)
        for one in identities:
            try:
                kind, payload = verifier.verify_dsse(bundle, Named(identity=one.identity, issuer=one.issuer))
            except Error as error:
                reason = brief(error)
                continue
            if kind != PAYLOAD_TYPE:
                raise EvidenceError(
                    f"the attestation's payload type is {kind[:80]!r}, not {PAYLOAD_TYPE!r}; {NOT_OURS}"
                )
            key_id: str = identified(bundle.signing_certificate.public_key()).keyid  # type: ignore[arg-type]
            return payload, key_id, f"{one.identity}, {one.issuer}"
    except (Error, TypeError, ValueError) as error:
        raise EvidenceError(
            f"the attestation is not a Sigstore bundle: {brief(error)}; {NOT_OURS}"
        ) from error
    raise EvidenceError(
        f"the attestation is not signed by an identity in {source}, or was changed: {reason}; {NOT_OURS}"
    )


def _answer(error: Exception) -> str:
    """Return what a service answered, which its client puts into the cause of the error."""
    import requests

    for one in (error, error.__cause__, *error.args):
        if isinstance(one, requests.HTTPError) and one.response is not None:
            message = ""
            with contextlib.suppress(ValueError, AttributeError):
                message = str(one.response.json().get("message", ""))
            return brief(f"{one}{f' ({message})' if message else ''}")
        if isinstance(one, requests.ConnectionError) and one.request is not None:
            return brief(f"{one.request.url} cannot be reached")
    return brief(error)


def brief(error: object) -> str:
    """Return the beginning of a message as one printable line; it may quote untrusted text."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}…"

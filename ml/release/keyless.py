"""Keyless signatures: an identity that a Fulcio certifies for minutes takes the place of a key that is kept.

Signing sends the identity's token to the Fulcio, which certifies a key made for this one signature, and the
envelope to a transparency log (Rekor), which records the time. The attestation is then a Sigstore bundle that
holds certificate and log entry: verification needs no network. A site's client trust configuration, the file
that ``sigstore --trust-config`` takes, names its services and their roots.
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
"""Seconds that the services have together: their client bounds none of its requests."""

LONGEST_REASON = 200
"""Characters of a reason in a message."""

NOT_OURS = "take the attestation that `jukebox judge` signed"

CONFIG = "give the site's Sigstore client trust configuration, as `sigstore --trust-config` takes it"


class Identity(Record):
    """Who may sign: the name in the certificate, and the issuer of the token that it was given for."""

    identity: Text
    issuer: Text


@dataclass(frozen=True)
class Sigstore:
    """The services of a site, and the roots that vouch for them.

    ``source`` is where they were read from, for messages.
    """

    source: str
    config: "ClientTrustConfig"


def sigstore_in(path: str | Path) -> Sigstore:
    """Return the Sigstore that a file describes.

    Raises:
        UsageError: it cannot be read, or is no client trust configuration with a Fulcio and a log.
    """
    from sigstore.errors import Error

    where = f"the Sigstore configuration {path}"
    try:
        value = json.loads(read_text(path, where, CONFIG))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is not JSON; {CONFIG}") from error
    found = read_sigstore(value, where)
    try:
        found.config.signing_config  # noqa: B018 - it is read when it is asked for
    except (Error, TypeError, ValueError) as error:
        raise UsageError(f"{where}: {brief(error)}; {CONFIG}") from error
    return found


def read_sigstore(value: Any, where: str) -> Sigstore:
    """Return the Sigstore that a client trust configuration describes.

    Args:
        value: the configuration, as JSON.
        where: how messages name it.

    Raises:
        UsageError: it is none.
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
        statement: the statement's bytes, which are signed as they are.
        site: the services to use.
        token_file: a file with an OpenID Connect token of the audience ``sigstore``, as Kubernetes makes
            them for a service account. It is sent to the Fulcio, and is in no message.

    Raises:
        UsageError: there is no such token, or it is over.
        PlatformError: a service does not answer, or refuses.
    """
    from sigstore.dsse import Statement
    from sigstore.oidc import IdentityError, IdentityToken
    from sigstore.sign import SigningContext

    where = f"the identity token {token_file}"
    remedy = "give a token of the audience sigstore, which a pod has by a projected volume"
    try:
        token = IdentityToken(read_text(token_file, where, remedy).strip())
    except IdentityError as error:
        raise UsageError(f"{where} is malformed, is over, or is for another audience; {remedy}") from error

    def signed() -> bytes:
        with SigningContext.from_trust_config(site.config).signer(token) as signer:
            return signer.sign_dsse(Statement(statement)).to_json().encode()

    try:
        return call_within(MOST, signed)
    except NotInTime:
        raise PlatformError(f"{site.source}: Fulcio or log do not answer within {MOST:.0f} s") from None
    except Exception as error:
        # Its client raises whatever it meets, of HTTP too; all of it means that there is no bundle.
        raise PlatformError(f"{site.source}: the attestation cannot be signed: {_answer(error)}") from error


def open_bundle(
    data: bytes, identities: tuple[Identity, ...], site: Sigstore, source: str
) -> tuple[bytes, str, str]:
    """Return the payload of a bundle that one of some identities has signed.

    The certificate must be of the site's Fulcio and stand in its certificate log, the signature be in the
    transparency log, and made while the certificate was valid; how old that is does not matter.

    Args:
        data: the bundle.
        identities: those that may sign.
        site: whose roots count; its services are not asked.
        source: how messages name where both stand.

    Returns:
        the payload, the id of the key that was certified, and the identity with its issuer.

    Raises:
        EvidenceError: it is no bundle, none of the identities has signed it, it was changed, or it is
            not around an in-toto statement.
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
        raise EvidenceError(f"the attestation is no Sigstore bundle: {brief(error)}; {NOT_OURS}") from error
    raise EvidenceError(
        f"the attestation is signed by no identity that {source} holds, or was changed: {reason}; {NOT_OURS}"
    )


def _answer(error: Exception) -> str:
    """Say what a service answered: its client keeps the answer in the cause."""
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
    """Return the beginning of a message, as one line: it may quote what others wrote."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}…"

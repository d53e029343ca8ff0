"""Signatures of attestations: a statement in a DSSE envelope, signed with a key or keyless."""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from ml.core.canonical import canonical_bytes, parse
from ml.core.errors import EvidenceError
from ml.core.records import Record, Text
from ml.gate.statement import PAYLOAD_TYPE, Statement, read_statement
from ml.release.key_files import identified, private_key
from ml.release.keyless import NOT_OURS, Sigstore, brief, open_bundle, sign_bytes
from ml.release.trust import Trust

LARGEST_ENVELOPE = 16_000_000
"""Bytes of an envelope; a statement has about a hundred thousand."""


class EnvelopeSignature(Record):
    """One signature of an envelope: the id of the key, and the signature in base64."""

    keyid: Text
    sig: Text


class Envelope(Record):
    """A DSSE envelope: the payload in base64, its type, and the signatures over both."""

    payload: str
    payload_type: str = Field(alias="payloadType")
    signatures: tuple[EnvelopeSignature, ...]


@dataclass(frozen=True)
class Signed:
    """A statement with a valid signature, and the trusted key that made it.

    A keyless signature has a key of its own, whose name is the identity that it was certified for.
    """

    statement: Statement
    key_id: str
    key_name: str


def sign(statement: Statement, key_file: str | Path) -> bytes:
    """Return the envelope of a statement, signed with a private key.

    Args:
        statement: the statement to sign.
        key_file: an ECDSA P-256 private key, PKCS #8 in PEM, without a password.

    Raises:
        UsageError: the key cannot be read or used; the message does not contain its content.
        EvidenceError: the statement is too large for an envelope.
    """
    from securesystemslib.dsse import Envelope as DsseEnvelope
    from securesystemslib.signer import CryptoSigner

    private = private_key(key_file)
    signer = CryptoSigner(private, identified(private.public_key()))
    envelope = DsseEnvelope(statement.to_bytes(), PAYLOAD_TYPE, {})
    envelope.sign(signer)
    return _bounded(canonical_bytes(envelope.to_dict()))


def sign_keyless(statement: Statement, site: Sigstore, token_file: str | Path) -> bytes:
    """Return a Sigstore bundle of a statement, signed with a key that is certified for an identity.

    Raises:
        UsageError, PlatformError: as `ml.release.keyless.sign_bytes`.
        EvidenceError: the statement is too large.
    """
    return _bounded(sign_bytes(statement.to_bytes(), site, token_file))


def verify_envelope(envelope: bytes, trust: Trust) -> Statement:
    """Return the statement in an envelope that a trusted key has signed.

    Raises:
        EvidenceError: as `open_envelope`.
    """
    return open_envelope(envelope, trust).statement


def open_envelope(envelope: bytes, trust: Trust) -> Signed:
    """Return the statement in an attestation, and the trusted key or identity that signed it.

    One valid signature by a trusted key is enough; signatures by other keys are ignored. The payload is
    parsed only after its signature was verified.

    Args:
        envelope: a DSSE envelope, or the Sigstore bundle of a keyless signature.
        trust: who may sign.

    Raises:
        EvidenceError: the envelope is too large, malformed or has another payload type; no trusted key has
            signed it; it was changed; or it does not contain a statement of a known version.
    """
    read = _read(envelope)
    if not _is_bundle(read):
        payload, key_id, name = _opened(read, trust)
    elif trust.sigstore:
        payload, key_id, name = open_bundle(envelope, trust.identities, trust.sigstore, trust.source)
    else:
        raise EvidenceError(
            f"the attestation is signed keyless, and {trust.source} has keys only; add the identity that "
            "signed it if you trust it"
        )
    try:
        statement = read_statement(payload)
    except ValueError as error:
        raise EvidenceError(
            f"the attestation is signed, but it is {brief(error)}; verify it with the jukebox that made it"
        ) from error
    return Signed(statement, key_id, name)


def payload_of(envelope: bytes) -> bytes:
    """Return the statement's bytes from an attestation, without verifying a signature.

    Raises:
        TypeError, ValueError: it is not an attestation.
    """
    read = parse(envelope)
    payload = read["dsseEnvelope"].get("payload") if _is_bundle(read) else Envelope.load(read).payload
    return base64.b64decode(payload, validate=True)


def _is_bundle(read: Any) -> bool:
    return isinstance(read, dict) and isinstance(read.get("dsseEnvelope"), dict)


def _opened(value: Any, trust: Trust) -> tuple[bytes, str, str]:
    """Return the payload of an envelope that a trusted key has signed, and the id and name of the key."""
    from securesystemslib.dsse import Envelope as DsseEnvelope
    from securesystemslib.exceptions import VerificationError

    try:
        read = Envelope.load(value)
    except (TypeError, ValueError) as error:
        raise EvidenceError(f"the attestation is not a DSSE envelope: {brief(error)}; {NOT_OURS}") from error
    if read.payload_type != PAYLOAD_TYPE:
        raise EvidenceError(
            f"the attestation's payload type is {read.payload_type[:80]!r}, not {PAYLOAD_TYPE!r}; {NOT_OURS}"
        )
    if not read.signatures:
        raise EvidenceError(f"the attestation has no signature; {NOT_OURS}")
    try:
        dsse = DsseEnvelope.from_dict(read.to_json())
    except ValueError as error:
        # Such as two signatures with the same key id.
        raise EvidenceError(f"the attestation's envelope is malformed: {brief(error)}; {NOT_OURS}") from error
    signers = [key_id for key_id in dsse.signatures if key_id in trust.keys]
    if not signers:
        ids = ", ".join(key_id[:12] for key_id in sorted(dsse.signatures)[:3])
        raise EvidenceError(
            f"the attestation is signed by the key {ids}, which {trust.source} does not hold; add its public "
            "key there if you trust it"
        )
    try:
        accepted = dsse.verify([trust.keys[key_id].key for key_id in signers], threshold=1)
    except VerificationError as error:
        raise EvidenceError(
            f"the attestation's signature by {signers[0][:12]} is not valid: the statement or the signature "
            f"was changed; {NOT_OURS}"
        ) from error
    (key_id,) = accepted
    return dsse.payload, key_id, trust.keys[key_id].name


def _read(data: bytes) -> Any:
    """Parse an attestation."""
    if len(data) > LARGEST_ENVELOPE:
        raise EvidenceError(
            f"the attestation has {len(data)} bytes, more than {LARGEST_ENVELOPE}; {NOT_OURS}"
        )
    try:
        return parse(data)
    except (ValueError, RecursionError) as error:
        raise EvidenceError(f"the attestation is not a DSSE envelope: {brief(error)}; {NOT_OURS}") from error


def _bounded(data: bytes) -> bytes:
    """Return an attestation if it is not too large to be read again."""
    if len(data) > LARGEST_ENVELOPE:
        raise EvidenceError(
            f"the attestation would have {len(data)} bytes, and {LARGEST_ENVELOPE} are allowed; "
            "its reports contain more than aggregate numbers"
        )
    return data

"""Signatures of attestations: a statement in a DSSE envelope, and the trust root that it is verified by.

A trust file holds one public key or several, in PEM, one after the other: while a key is replaced, the old
and the new one are both there. A comment line just above a key names it; nothing else may be in the file:

    # platform team, 2026
    -----BEGIN PUBLIC KEY-----
    …
    -----END PUBLIC KEY-----
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from ml.errors import EvidenceError, UsageError
from ml.gate.canonical import canonical_bytes, parse
from ml.gate.records import Record, Text
from ml.gate.statement import PAYLOAD_TYPE, Statement, read_statement
from ml.release.key_files import MAKE_KEYS, identified, private_key, public_key, read_text

if TYPE_CHECKING:
    from securesystemslib.signer import SSlibKey

LARGEST_ENVELOPE = 16_000_000
"""Bytes of an envelope; a statement has some hundred thousand."""

LONGEST_REASON = 200
"""Characters of a reason in a message."""

NOT_OURS = "take the attestation that `jukebox judge` signed"

PUBLIC_KEY = re.compile(
    r"(?:^#([^\n]*)\n)?^(-----BEGIN PUBLIC KEY-----\n[A-Za-z0-9+/=\n]+\n-----END PUBLIC KEY-----)$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class TrustedKey:
    """A public key, and its name ("": it has none)."""

    name: str
    key: "SSlibKey"


@dataclass(frozen=True)
class Trust:
    """A trust root: the public keys that may sign attestations, by key id.

    ``source`` is where they were read from, for messages.
    """

    source: str
    keys: dict[str, TrustedKey]


class EnvelopeSignature(Record):
    """One signature of an envelope: the id of its key, and the signature in base64."""

    keyid: Text
    sig: Text


class Envelope(Record):
    """A DSSE envelope: the payload in base64, its type, and the signatures over both."""

    payload: str
    payload_type: str = Field(alias="payloadType")
    signatures: tuple[EnvelopeSignature, ...]


@dataclass(frozen=True)
class Signed:
    """A statement whose signature is valid, and the trusted key that made it."""

    statement: Statement
    key_id: str
    key_name: str


def read_trust(path: str | Path) -> Trust:
    """Return the trust root in a file.

    Raises:
        UsageError: the file cannot be read, or holds anything but ECDSA P-256 public keys, each once.
    """
    where = f"the trust file {path}"
    text = read_text(path, where).replace("\r\n", "\n")
    if "PRIVATE KEY" in text:
        raise UsageError(f"{where} holds a private key; take it out, and give the public key in its place")
    rest = [line for line in PUBLIC_KEY.sub("", text).splitlines() if line.strip() and line[0] != "#"]
    if rest:
        raise UsageError(f"{where} holds something else than public keys in PEM and # comments; remove it")
    keys: dict[str, TrustedKey] = {}
    for found in PUBLIC_KEY.finditer(text):
        name, pem = (found[1] or "").strip(), found[2]
        if not name.isprintable():
            raise UsageError(f"{where}: the name of key {len(keys) + 1} cannot be printed; give it another")
        key = public_key(pem, f"{where}: key {len(keys) + 1}")
        if key.keyid in keys:
            raise UsageError(f"{where} holds the key {key.keyid[:12]} twice; remove one")
        keys[key.keyid] = TrustedKey(name, key)
    if not keys:
        raise UsageError(f"{where} holds no public key in PEM; {MAKE_KEYS}")
    return Trust(str(path), keys)


def sign(statement: Statement, key_file: str | Path) -> bytes:
    """Return the envelope of a statement, signed with a private key.

    Args:
        statement: what is attested.
        key_file: an ECDSA P-256 private key, PKCS #8 in PEM, without a password.

    Raises:
        UsageError: the key cannot be read or used; its content is in no message.
        EvidenceError: the statement is too large for an envelope.
    """
    from securesystemslib.dsse import Envelope as DsseEnvelope
    from securesystemslib.signer import CryptoSigner

    private = private_key(key_file)
    signer = CryptoSigner(private, identified(private.public_key()))
    envelope = DsseEnvelope(statement.to_bytes(), PAYLOAD_TYPE, {})
    envelope.sign(signer)
    data = canonical_bytes(envelope.to_dict())
    if len(data) > LARGEST_ENVELOPE:
        raise EvidenceError(
            f"the attestation would have {len(data)} bytes, and {LARGEST_ENVELOPE} are allowed; "
            "its reports hold more than aggregate numbers"
        )
    return data


def verify_envelope(envelope: bytes, trust: Trust) -> Statement:
    """Return the statement in an envelope that a trusted key has signed.

    Raises:
        EvidenceError: as `open_envelope`.
    """
    return open_envelope(envelope, trust).statement


def open_envelope(envelope: bytes, trust: Trust) -> Signed:
    """Return the statement in an envelope, and which trusted key has signed it.

    One valid signature by a trusted key is enough; signatures by other keys say nothing. The payload is
    read only after that.

    Raises:
        EvidenceError: the envelope is too large, malformed, of another payload type, not signed by a
            trusted key, changed after it was signed, or not around a statement of ours.
    """
    from securesystemslib.dsse import Envelope as DsseEnvelope
    from securesystemslib.exceptions import VerificationError

    read = _read_envelope(envelope)
    if read.payload_type != PAYLOAD_TYPE:
        raise EvidenceError(
            f"the attestation's payload type is {read.payload_type[:80]!r}, not {PAYLOAD_TYPE!r}; {NOT_OURS}"
        )
    if not read.signatures:
        raise EvidenceError(f"the attestation has no signature; {NOT_OURS}")
    try:
        dsse = DsseEnvelope.from_dict(read.to_json())
    except ValueError as error:
        # Among them a key id that stands twice.
        raise EvidenceError(
            f"the attestation's envelope is malformed: {_brief(error)}; {NOT_OURS}"
        ) from error
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
    try:
        statement = read_statement(dsse.payload)
    except ValueError as error:
        raise EvidenceError(
            f"the attestation is signed, but it is {_brief(error)}; this jukebox does not know its version"
        ) from error
    return Signed(statement, key_id, trust.keys[key_id].name)


def _read_envelope(data: bytes) -> Envelope:
    """Return the envelope, whoever signed it."""
    if len(data) > LARGEST_ENVELOPE:
        raise EvidenceError(
            f"the attestation has {len(data)} bytes, more than {LARGEST_ENVELOPE}; {NOT_OURS}"
        )
    try:
        return Envelope.load(parse(data))
    except (TypeError, ValueError, RecursionError) as error:
        raise EvidenceError(f"the attestation is no DSSE envelope: {_brief(error)}; {NOT_OURS}") from error


def _brief(error: Exception) -> str:
    """Return the beginning of a message: it may quote what is in the envelope."""
    text = str(error)
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}…"

"""Signatures of keys are those of DSSE, and what a trusted key has not signed is refused in one line."""

import base64
import hashlib
import json
from pathlib import Path

import pytest
from attestations import make_attestation, statement_about, trust_file
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from ml.core.canonical import canonical_bytes
from ml.core.errors import EvidenceError, UsageError
from ml.gate.statement import PAYLOAD_TYPE
from ml.release import signing
from ml.release.signing import open_envelope, sign, verify_envelope
from ml.release.trust import read_trust

STATEMENT = statement_about()
PAYLOAD = STATEMENT.to_bytes()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def pae(kind: str, payload: bytes) -> bytes:
    """Return what DSSE signs, as its protocol says."""
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)


def key_id(public) -> str:
    return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def private_pem(private, encryption=None) -> bytes:
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def public_pem(private) -> bytes:
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def by_hand(keys):
    """Make an envelope without any of our code."""

    def by_hand(payload=PAYLOAD, kind=PAYLOAD_TYPE, key=keys[0], **changes) -> dict:
        private = load_pem_private_key(key.read_bytes(), None)
        sig = b64(private.sign(pae(kind, payload), ec.ECDSA(SHA256())))
        signatures = [{"keyid": key_id(private.public_key()), "sig": sig}]
        return {"payloadType": kind, "payload": b64(payload), "signatures": signatures, **changes}

    return by_hand


@pytest.fixture
def refused(keys):
    """Check that an envelope is refused in one short line that says what to do."""

    def check(envelope, message):
        data = envelope if isinstance(envelope, bytes) else json.dumps(envelope).encode()
        with pytest.raises(EvidenceError, match=message) as caught:
            verify_envelope(data, keys[1])
        line = str(caught.value)
        assert ("\n" in line, "; " in line, len(line) < 500 + len(keys[1].source)) == (False, True, True)

    return check


def test_an_independent_client_verifies_what_we_sign_and_we_what_it_signs(keys, by_hand):
    envelope = make_attestation(key=keys[0])
    signed, read, made = open_envelope(envelope, keys[1]), json.loads(envelope), by_hand()
    public = load_pem_private_key(keys[0].read_bytes(), None).public_key()
    assert (signed.statement, signed.key_id, signed.key_name) == (STATEMENT, key_id(public), "a test")
    sig = base64.b64decode(read["signatures"][0].pop("sig"))
    public.verify(sig, pae("application/vnd.in-toto+json", PAYLOAD), ec.ECDSA(SHA256()))
    assert verify_envelope(json.dumps(made).encode(), keys[1]) == STATEMENT
    del made["signatures"][0]["sig"]
    assert read == made


def test_a_key_that_is_not_trusted_is_refused_also_under_another_name(keys, by_hand, refused, tmp_path):
    by_other = by_hand(key=trust_file(tmp_path)[0])
    refused(by_other, f"which {keys[1].source} does not hold; add its public key")
    by_other["signatures"][0]["keyid"] = next(iter(keys[1].keys))
    refused(by_other, "is not valid")


def test_a_changed_payload_type_or_signature_is_refused(by_hand, refused):
    made = by_hand()
    for other in (PAYLOAD.replace(b'"synthetic":false', b'"synthetic":true'), PAYLOAD + b"\n", b""):
        refused({**made, "payload": b64(other)}, "was changed")
    refused(by_hand(kind="text/plain", payloadType=PAYLOAD_TYPE), "is not valid")
    made["signatures"][0]["sig"] = b64(b"\x30" * 72)
    refused(made, "is not valid")


def test_one_valid_signature_by_a_trusted_key_is_enough(keys, by_hand, tmp_path):
    other, trust = trust_file(tmp_path / "next", "the next")
    stranger = by_hand(key=trust_file(tmp_path / "stranger")[0])["signatures"]
    (tmp_path / "both.pem").write_bytes(trust.read_bytes() + Path(keys[1].source).read_bytes())
    made = [by_hand(), by_hand(key=other)]
    for broken, whole in (made, reversed(made)):
        signatures = [*stranger, {**broken["signatures"][0], "sig": "MAA="}, *whole["signatures"]]
        data = json.dumps({**whole, "signatures": signatures}).encode()
        signed = open_envelope(data, read_trust(tmp_path / "both.pem"))
        assert signed.key_id == whole["signatures"][0]["keyid"]


LONG = "x" * 100_000
SIGNATURE = {"keyid": LONG, "sig": "MAA="}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *(({name: 1}, "not a DSSE envelope") for name in (LONG, "payload")),
        *((data, "not a DSSE envelope") for data in (b"not JSON", b"[]", b"[" * 100_000, b" " * 16_000_000)),
        (b'{"payload":"","payload":""}', "not a DSSE envelope: key 'payload' stands twice"),
        (b" " * 16_000_001, "16000001 bytes, more than 16000000"),
        ({"payload": "AAAA AAAA"}, "malformed"),
        ({"payloadType": LONG}, "payload type"),
        ({"signatures": []}, "no signature"),
        ({"signatures": [SIGNATURE]}, "does not hold"),
        ({"signatures": [SIGNATURE] * 2}, "Multiple signatures"),
    ],
    ids=range(13),
)
def test_an_envelope_of_another_form_is_refused(by_hand, refused, changes, message):
    refused(changes if isinstance(changes, bytes) else {**by_hand(), **changes}, message)


def test_an_envelope_that_is_too_large_is_not_made(keys, monkeypatch):
    monkeypatch.setattr(signing, "LARGEST_ENVELOPE", len(make_attestation(key=keys[0])) - 10)
    with pytest.raises(EvidenceError, match=r"\d+ are allowed"):
        sign(STATEMENT, keys[0])


@pytest.mark.parametrize(
    "payload", [canonical_bytes({**STATEMENT.to_json(), "more": 1}), PAYLOAD[:-1]], ids=["version", "form"]
)
def test_a_signed_payload_that_is_no_statement_of_ours_is_refused(by_hand, refused, payload):
    refused(by_hand(payload), "signed, but it is .*; verify it with the jukebox that made it")


P256 = ec.generate_private_key(ec.SECP256R1())
PUBLIC, LOCKED = public_pem(P256), private_pem(P256, BestAvailableEncryption(b"secret"))
KINDS = [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())]
COMMON = [(None, "No such file"), (b"\xffsecret", "not text"), (b"x" * 1_000_001, "more than 1000000 bytes")]
PRIVATE_FILES = [
    *COMMON,
    *((data, "not a private key in PEM") for data in (b"secret", PUBLIC)),
    (LOCKED, "is encrypted"),
    *((private_pem(private), "not an ECDSA P-256 key") for private in KINDS),
]
TRUST_FILES = [
    *COMMON,
    *((data, "contains no public key") for data in (b"# nothing\n", b"#" * 1_000_000)),
    *((data, "something else") for data in (PUBLIC + b"junk\n", PUBLIC[:-5])),
    (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "key 1 is not a public key"),
    (PUBLIC * 2, "twice"),
    (PUBLIC + private_pem(P256), "contains a private key"),
    (b"# \x1b[31m\n" + PUBLIC, "cannot be printed"),
    *((public_pem(private), "key 1 is not an ECDSA P-256 key") for private in KINDS),
]


@pytest.mark.parametrize(
    ("work", "content", "message"),
    [(work, *row) for work, rows in ((sign, PRIVATE_FILES), (read_trust, TRUST_FILES)) for row in rows],
    ids=range(21),
)
def test_a_file_of_keys_that_cannot_be_used_is_refused_without_its_content(tmp_path, work, content, message):
    path = tmp_path / "keys.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=rf"^[^\n]*{path}[^\n]*{message}[^\n]*$") as caught:
        work(*([STATEMENT] if work is sign else []), path)
    parts = filter(None, (content or b"").decode(errors="replace").split("\n"))
    assert not any(part in str(caught.value) for part in ("secret", "BEGIN", *parts))


def test_a_trust_file_has_several_keys_and_their_names(tmp_path):
    other = trust_file(tmp_path, "our keys")[1].read_bytes().replace(b"#", b"# more\n\n#")
    (tmp_path / "both.pem").write_bytes(PUBLIC.replace(b"\n", b"\r\n") + b"\n" + other)
    trust = read_trust(tmp_path / "both.pem")
    assert [key.name for key in trust.keys.values()] == ["", "our keys"]
    assert list(trust.keys) == [key_id(load_pem_public_key(data)) for data in (PUBLIC, other)]

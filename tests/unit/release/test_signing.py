"""Signatures of keys are those of DSSE, and what a trusted key has not signed is refused in one line."""

import base64
import hashlib
import json

import pytest
from attestations import FILES, make_attestation, statement_about, trust_file
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from ml.core.canonical import canonical_bytes
from ml.core.errors import EvidenceError, UsageError
from ml.gate.statement import PAYLOAD_TYPE
from ml.release import signing
from ml.release.signing import open_envelope, sign, verify_envelope
from ml.release.trust import read_trust

STATEMENT = statement_about()
PAYLOAD = STATEMENT.to_bytes()
LONG = "x" * 100_000


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return what DSSE signs, as its protocol says."""
    kind = payload_type.encode()
    return b" ".join([b"DSSEv1", str(len(kind)).encode(), kind, str(len(payload)).encode(), payload])


def key_id(public) -> str:
    return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def pem(private, encryption=None) -> bytes:
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
        assert ("\n" in line, "; " in line) == (False, True)
        assert len(line) < 500 + len(keys[1].source)

    return check


def test_an_independent_client_verifies_what_we_sign(keys):
    envelope = make_attestation(key=keys[0])
    signed, read = open_envelope(envelope, keys[1]), json.loads(envelope)
    assert signed.statement == STATEMENT == verify_envelope(envelope, keys[1])
    public = load_pem_private_key(keys[0].read_bytes(), None).public_key()
    (signature,) = read["signatures"]
    assert (signed.key_id, signed.key_name, signature["keyid"]) == (key_id(public), "a test", key_id(public))
    assert (base64.b64decode(read["payload"]), read["payloadType"]) == (
        PAYLOAD,
        "application/vnd.in-toto+json",
    )
    sig = base64.b64decode(signature["sig"])
    public.verify(sig, pae(PAYLOAD_TYPE, PAYLOAD), ec.ECDSA(SHA256()))
    with pytest.raises(InvalidSignature):
        public.verify(sig, pae(PAYLOAD_TYPE, PAYLOAD + b" "), ec.ECDSA(SHA256()))


def test_a_key_that_is_not_trusted_is_refused_also_under_another_name(keys, by_hand, refused, tmp_path):
    by_other = by_hand(key=trust_file(tmp_path)[0])
    refused(by_other, f"which {keys[1].source} does not hold; add its public key")
    by_other["signatures"][0]["keyid"] = next(iter(keys[1].keys))
    refused(by_other, "is not valid")


def test_a_changed_payload_type_or_signature_is_refused_wherever_it_is_changed(by_hand, refused):
    made = by_hand()
    changed = [PAYLOAD.replace(b'"synthetic":false', b'"synthetic":true'), PAYLOAD + b"\n", PAYLOAD[:-1], b""]
    places = range(0, len(PAYLOAD), len(PAYLOAD) // 40)
    changed += [PAYLOAD[:at] + bytes([PAYLOAD[at] ^ 1]) + PAYLOAD[at + 1 :] for at in places]
    for other in changed:
        refused({**made, "payload": b64(other)}, "was changed")
    refused(by_hand(kind="text/plain", payloadType=PAYLOAD_TYPE), "is not valid")
    for length in (1, 8, 64, 72):
        made["signatures"][0]["sig"] = b64(b"\x30" * length)
        refused(made, "is not valid")


def test_one_valid_signature_by_a_trusted_key_is_enough(keys, by_hand, tmp_path):
    other, trust = trust_file(tmp_path / "next", "the next")
    stranger = by_hand(key=trust_file(tmp_path / "stranger")[0])["signatures"]
    ours = public_pem(load_pem_private_key(keys[0].read_bytes(), None))
    (tmp_path / "both.pem").write_bytes(trust.read_bytes() + ours)
    for broken, whole in ((by_hand(), by_hand(key=other)), (by_hand(key=other), by_hand())):
        signatures = [*stranger, {**broken["signatures"][0], "sig": "MAA="}, *whole["signatures"]]
        data = json.dumps({**whole, "signatures": signatures}).encode()
        signed = open_envelope(data, read_trust(tmp_path / "both.pem"))
        assert signed.key_id == whole["signatures"][0]["keyid"]


FORMS = [{"extra": 1}, {LONG: 1}, {"payload": None}, {"payload": 7}, {"signatures": "x"}]
SIGNATURE = {"keyid": "a", "sig": "MAA="}
FORMS += [{"signatures": [{**SIGNATURE, **more}]} for more in ({"sig": ""}, {"cert": "x"}, {"keyid": 1})]
GARBAGE = [b"", b"{}", b"[]", b"null", b"\xff\xfe", b"not JSON", b'{"payload":NaN}', b"[" * 100_000]
GARBAGE += [b'{"payload":"","payload":"","payloadType":"","signatures":[]}', b'{"a":' * 900 + b"}" * 900]
GARBAGE += [b"{" + b",".join(b'"%d":0' % n for n in range(30_000)) + b"}"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *((changes, "not a DSSE envelope") for changes in (*FORMS, *GARBAGE)),
        *(({"payload": payload}, "malformed") for payload in ("a", "é", "AAAA AAAA")),
        *(({"payloadType": kind}, "payload type") for kind in (f"{PAYLOAD_TYPE} ", "text/plain", "", LONG)),
        ({"signatures": []}, "no signature"),
        ({"signatures": [{"keyid": LONG, "sig": "MAA="}]}, "does not hold"),
        ({"signatures": [{"keyid": LONG, "sig": "MAA="}] * 2}, "Multiple signatures"),
        (b" " * 16_000_001, "16000001 bytes, more than 16000000"),
        (b" " * 16_000_000, "not a DSSE envelope"),
    ],
    ids=range(31),
)
def test_an_envelope_of_another_form_is_refused(by_hand, refused, changes, message):
    refused(changes if isinstance(changes, bytes) else {**by_hand(), **changes}, message)


def test_an_envelope_that_is_too_large_is_not_made(keys, monkeypatch):
    monkeypatch.setattr(signing, "LARGEST_ENVELOPE", len(make_attestation(key=keys[0])) - 10)
    with pytest.raises(EvidenceError, match=r"\d+ are allowed"):
        sign(STATEMENT, keys[0])


def _statement(at="2026-08-01T12:00:00Z", **changes):
    value = STATEMENT.to_json()
    value["predicate"]["measured"]["at"] = at
    return canonical_bytes({**value, **changes})


SUBJECT = STATEMENT.to_json()["subject"]
OTHER = statement_about({**FILES, "model.onnx": b"another"}).to_json()["subject"]
STRANGE = [{"_type": "https://in-toto.io/Statement/v0.1"}, {"predicateType": "urn:jukebox:attestation:v2"}]
STRANGE += [{"subject": SUBJECT[:2]}, {"subject": []}, {"more": 1}]


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        *((_statement(**changes), "signed, but it is not a statement") for changes in STRANGE),
        (_statement(subject=OTHER), "not the files that were measured"),
        (_statement(at="2026-08-01T12:00:00"), r"at: .*timezone"),
        (json.dumps(STATEMENT.to_json()).encode(), "not in canonical form"),
    ],
    ids=range(8),
)
def test_a_signed_payload_that_is_no_statement_of_ours_is_refused(by_hand, refused, payload, message):
    refused(by_hand(payload), message)


def test_a_trust_file_has_several_keys_and_their_names(keys, tmp_path):
    first = b"# platform team, 2026\r\n" + public_pem(P256).replace(b"\n", b"\r\n")
    second = public_pem(load_pem_private_key(keys[0].read_bytes(), None))
    (tmp_path / "trust.pem").write_bytes(b"# our keys\n\n" + first + b"\n" + second)
    trust = read_trust(tmp_path / "trust.pem")
    assert [key.name for key in trust.keys.values()] == ["platform team, 2026", ""]
    assert next(iter(trust.keys)) == key_id(P256.public_key())
    assert verify_envelope(make_attestation(key=keys[0]), trust) == STATEMENT


P256 = ec.generate_private_key(ec.SECP256R1())
PUBLIC, LOCKED = public_pem(P256), pem(P256, BestAvailableEncryption(b"secret"))
KINDS = [rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()]
KINDS += [ec.generate_private_key(ec.SECP384R1())]
COMMON = [(None, "No such file"), (b"\xffsecret", "not text"), (b"x" * 1_000_001, "more than 1000000 bytes")]
NONSENSE = b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"
PRIVATE_FILES = [
    *COMMON,
    *((data, "not a private key in PEM") for data in (b"", b"secret", PUBLIC, pem(P256)[:120])),
    (LOCKED, "is encrypted"),
    *((pem(private), "not an ECDSA P-256 key") for private in KINDS),
]
TRUST_FILES = [
    *COMMON,
    *((data, "contains no public key") for data in (b"", b"# nothing\n", b"#" * 1_000_000)),
    *((data, "something else") for data in (PUBLIC + b"junk\n", PUBLIC[:-5])),
    (NONSENSE, "key 1 is not a public key"),
    (PUBLIC * 2, "twice"),
    (PUBLIC + pem(P256), "contains a private key"),
    (b"# \x1b[31m\n" + PUBLIC, "cannot be printed"),
    *((public_pem(private), "key 1 is not an ECDSA P-256 key") for private in KINDS),
]
WORK = {"key": lambda path: sign(STATEMENT, path), "trust": read_trust}
FILES_OF_KEYS = [("key", *row) for row in PRIVATE_FILES] + [("trust", *row) for row in TRUST_FILES]


@pytest.mark.parametrize(("kind", "content", "message"), FILES_OF_KEYS, ids=range(26))
def test_a_file_of_keys_that_cannot_be_used_is_refused_without_its_content(tmp_path, kind, content, message):
    path = tmp_path / "keys.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=rf"^[^\n]*{path}[^\n]*{message}[^\n]*$") as caught:
        WORK[kind](path)
    parts = filter(None, (content or b"").decode(errors="replace").split("\n"))
    assert not any(part in str(caught.value) for part in ("secret", "BEGIN", *parts))

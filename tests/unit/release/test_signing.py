"""Signatures: ours are those of DSSE, and what a trusted key has not signed is refused in one line."""

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
    load_pem_public_key,
)

from ml.core.canonical import canonical_bytes
from ml.core.errors import EvidenceError, UsageError
from ml.gate.statement import PAYLOAD_TYPE, read_statement
from ml.release import signing
from ml.release.signing import open_envelope, sign, verify_envelope
from ml.release.trust import read_trust

STATEMENT = statement_about()
PAYLOAD = STATEMENT.to_bytes()


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A private key and its trust file."""
    return trust_file(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def trust(keys):
    return read_trust(keys[1])


@pytest.fixture(scope="module")
def envelope(keys):
    return make_attestation(key=keys[0])


def pae(payload_type: str, payload: bytes) -> bytes:
    """What DSSE signs, as its protocol says it."""
    kind = payload_type.encode()
    return b" ".join([b"DSSEv1", str(len(kind)).encode(), kind, str(len(payload)).encode(), payload])


def key_id(public) -> str:
    return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def signed_by_hand(key_file, payload=PAYLOAD, kind=PAYLOAD_TYPE, **changes) -> dict:
    """Make an envelope without any of our code."""
    private = load_pem_private_key(key_file.read_bytes(), None)
    sig = private.sign(pae(kind, payload), ec.ECDSA(SHA256()))
    return {
        "payloadType": kind,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"keyid": key_id(private.public_key()), "sig": base64.b64encode(sig).decode()}],
        **changes,
    }


def refused(envelope, trust, message) -> None:
    """Check that an envelope is refused in one line."""
    data = envelope if isinstance(envelope, bytes) else json.dumps(envelope).encode()
    with pytest.raises(EvidenceError, match=message) as caught:
        verify_envelope(data, trust)
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 500 + len(trust.source)
    assert "; " in line, "it does not say what to do"


def test_what_was_signed_comes_back(envelope, trust):
    signed = open_envelope(envelope, trust)
    assert signed.statement == STATEMENT == verify_envelope(envelope, trust)
    assert (signed.key_id, signed.key_name) == (next(iter(trust.keys)), "a test")


def test_an_independent_client_verifies_what_we_sign(envelope, keys):
    read = json.loads(envelope)
    (signature,) = read["signatures"]
    public = load_pem_public_key(keys[1].read_bytes().split(b"\n", 1)[1])
    payload, sig = base64.b64decode(read["payload"]), base64.b64decode(signature["sig"])
    public.verify(sig, pae(read["payloadType"], payload), ec.ECDSA(SHA256()))
    assert (signature["keyid"], read["payloadType"]) == (key_id(public), "application/vnd.in-toto+json")
    assert read_statement(payload) == STATEMENT
    with pytest.raises(InvalidSignature):
        public.verify(sig, pae(read["payloadType"], payload + b" "), ec.ECDSA(SHA256()))


def test_we_accept_what_an_independent_client_signs(keys, trust):
    by_hand = signed_by_hand(keys[0])
    assert verify_envelope(json.dumps(by_hand, indent=1).encode(), trust) == STATEMENT
    urlsafe = by_hand["signatures"][0]["sig"].replace("+", "-").replace("/", "_")
    by_hand["signatures"][0]["sig"] = urlsafe
    assert verify_envelope(json.dumps(by_hand).encode(), trust) == STATEMENT


def test_a_key_that_is_not_trusted_is_refused(trust, tmp_path):
    other, _ = trust_file(tmp_path)
    refused(make_attestation(key=other), trust, f"which {trust.source} does not hold; add its public key")


def test_the_name_of_a_trusted_key_on_another_signature_is_refused(trust, tmp_path):
    by_other = signed_by_hand(trust_file(tmp_path)[0])
    by_other["signatures"][0]["keyid"] = next(iter(trust.keys))
    refused(by_other, trust, "is not valid")


@pytest.mark.parametrize("length", [0, 1, 8, 64, 72])
def test_bytes_that_are_no_signature_are_refused(keys, trust, length):
    by_hand = signed_by_hand(keys[0])
    by_hand["signatures"][0]["sig"] = base64.b64encode(b"\x30" * length).decode()
    refused(by_hand, trust, "is not valid" if length else "not a DSSE envelope")


def test_a_changed_payload_is_refused_wherever_it_is_changed(envelope, trust):
    read = json.loads(envelope)
    payload = base64.b64decode(read["payload"])
    changed = [payload.replace(b'"synthetic":false', b'"synthetic":true'), payload + b"\n", payload[:-1], b""]
    for position in range(0, len(payload), len(payload) // 40):
        changed.append(payload[:position] + bytes([payload[position] ^ 1]) + payload[position + 1 :])
    for other in changed:
        refused({**read, "payload": base64.b64encode(other).decode()}, trust, "was changed")


def test_another_payload_type_is_refused_whether_signed_or_not(keys, trust):
    for kind in ("application/vnd.in-toto+json ", "text/plain", ""):
        refused(signed_by_hand(keys[0], kind=kind), trust, "payload type")
    relabelled = signed_by_hand(keys[0], kind="text/plain", payloadType=PAYLOAD_TYPE)
    refused(relabelled, trust, "is not valid")


def test_one_valid_signature_beside_others_is_enough(keys, trust, tmp_path):
    ours, theirs = signed_by_hand(keys[0]), signed_by_hand(trust_file(tmp_path)[0])
    both = {**ours, "signatures": [*theirs["signatures"], *ours["signatures"]]}
    signed = open_envelope(json.dumps(both).encode(), trust)
    assert signed.key_id == ours["signatures"][0]["keyid"]


def test_a_broken_signature_of_one_trusted_key_leaves_that_of_another(keys, tmp_path):
    other_key, other_trust = trust_file(tmp_path, "the next")
    both = tmp_path / "both.pem"
    both.write_bytes(other_trust.read_bytes() + keys[1].read_bytes())
    ours, theirs = signed_by_hand(keys[0]), signed_by_hand(other_key)
    for broken, whole in ((ours, theirs), (theirs, ours)):
        (bad,) = broken["signatures"]
        signatures = [{**bad, "sig": "MAA="}, *whole["signatures"]]
        data = json.dumps({**ours, "signatures": signatures}).encode()
        assert open_envelope(data, read_trust(both)).key_id == whole["signatures"][0]["keyid"]


def test_a_key_id_twice_is_refused(keys, trust):
    once = signed_by_hand(keys[0])
    refused({**once, "signatures": once["signatures"] * 2}, trust, "Multiple signatures")


def test_a_message_does_not_repeat_a_long_text(keys, trust):
    long = "x" * 100_000
    once = signed_by_hand(keys[0])
    refused({**once, long: 1}, trust, "not a DSSE envelope")
    refused({**once, "payloadType": long}, trust, "payload type")
    refused({**once, "signatures": [{"keyid": long, "sig": "MAA="}]}, trust, "does not hold")
    refused({**once, "signatures": [{"keyid": long, "sig": "MAA="}] * 2}, trust, "Multiple signatures")


def test_no_signature_is_refused(keys, trust):
    refused(signed_by_hand(keys[0], signatures=[]), trust, "no signature")


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"not JSON",
        b'{"payload":NaN}',
        b'{"payload":"","payload":"","payloadType":"","signatures":[]}',
        b"[" * 100_000,
        b'{"a":' * 900 + b"1" + b"}" * 900,
    ],
    ids=range(10),
)
def test_garbage_is_refused(garbage, trust):
    refused(garbage, trust, "not a DSSE envelope")


@pytest.mark.parametrize(
    "changes",
    [
        {"extra": 1},
        {"payload": None},
        {"payload": 7},
        {"signatures": "x"},
        {"signatures": [{"keyid": "a"}]},
        {"signatures": [{"keyid": "a", "sig": "MAA=", "cert": "x"}]},
        {"signatures": [{"keyid": 1, "sig": "MAA="}]},
    ],
    ids=str,
)
def test_an_envelope_of_another_form_is_refused(keys, trust, changes):
    refused({**signed_by_hand(keys[0]), **changes}, trust, "not a DSSE envelope")


def test_what_is_no_base64_is_refused(keys, trust):
    for payload in ("a", "é", "AAAA AAAA"):
        refused({**signed_by_hand(keys[0]), "payload": payload}, trust, "malformed")


def test_an_envelope_is_bounded(trust):
    refused(b" " * 16_000_001, trust, "16000001 bytes, more than 16000000")


def test_very_many_keys_are_read_in_linear_time(trust):
    refused(b"{" + b",".join(b'"%d":0' % n for n in range(30_000)) + b"}", trust, "not a DSSE envelope")


def test_a_statement_that_is_too_large_is_not_signed(keys, monkeypatch):
    monkeypatch.setattr(signing, "LARGEST_ENVELOPE", 1000)
    with pytest.raises(EvidenceError, match="1000 are allowed"):
        sign(STATEMENT, keys[0])


@pytest.mark.parametrize(
    "change",
    [
        {"_type": "https://in-toto.io/Statement/v0.1"},
        {"predicateType": "urn:jukebox:attestation:v2"},
        {"subject": STATEMENT.to_json()["subject"][:2]},
        {"subject": []},
        {"more": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_a_trusted_key_signed_is_refused_if_it_is_no_statement_of_ours(keys, trust, change):
    payload = canonical_bytes({**STATEMENT.to_json(), **change})
    refused(signed_by_hand(keys[0], payload), trust, "signed, but it is not a statement")


def test_a_statement_about_other_files_than_it_measured_is_refused(keys, trust):
    other = statement_about({**FILES, "model.onnx": b"another"}).to_json()
    mixed = canonical_bytes({**STATEMENT.to_json(), "subject": other["subject"]})
    refused(signed_by_hand(keys[0], mixed), trust, "not the files that were measured")


def test_a_statement_that_is_not_canonical_is_refused(keys, trust):
    loose = json.dumps(STATEMENT.to_json()).encode()
    refused(signed_by_hand(keys[0], loose), trust, "not in canonical form")


def test_a_time_without_a_zone_is_refused(keys, trust):
    value = STATEMENT.to_json()
    value["predicate"]["measured"]["at"] = "2026-08-01T12:00:00"
    refused(signed_by_hand(keys[0], canonical_bytes(value)), trust, r"at: .*timezone")


PRIVATE = {
    "an RSA": rsa.generate_private_key(65537, 2048),
    "an Ed25519": ed25519.Ed25519PrivateKey.generate(),
    "a P-384": ec.generate_private_key(ec.SECP384R1()),
}


def pem(private, encryption=None) -> bytes:
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def public_pem(private) -> bytes:
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


P256 = ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file"),
        (b"", "not a private key in PEM; `jukebox judge keys`"),
        (b"secret", "not a private key in PEM"),
        (b"\xffsecret", "not text"),
        (b"x" * 1_000_001, "more than 1000000 bytes"),
        (public_pem(P256), "not a private key in PEM"),
        (pem(P256)[:120], "not a private key in PEM"),
        (pem(P256, BestAvailableEncryption(b"secret")), "is encrypted"),
        *((pem(private), "not an ECDSA P-256 key") for private in PRIVATE.values()),
    ],
    ids=range(11),
)
def test_a_key_file_that_cannot_be_used_is_refused_without_its_content(tmp_path, content, message):
    path = tmp_path / "key.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=message) as caught:
        sign(STATEMENT, path)
    line = str(caught.value)
    assert "\n" not in line
    assert str(path) in line
    assert "secret" not in line
    assert not any(part in line for part in (content or b"").decode(errors="replace").split("\n") if part)


def test_a_trust_file_holds_several_keys_and_their_names(keys, tmp_path):
    path = tmp_path / "trust.pem"
    named = b"# platform team, 2026\r\n" + public_pem(P256).replace(b"\n", b"\r\n")
    path.write_bytes(
        b"# our keys\n\n" + named + b"\n" + public_pem(load_pem_private_key(keys[0].read_bytes(), None))
    )
    trust = read_trust(path)
    assert [key.name for key in trust.keys.values()] == ["platform team, 2026", ""]
    assert next(iter(trust.keys)) == key_id(P256.public_key())
    assert verify_envelope(make_attestation(key=keys[0]), trust) == STATEMENT


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file"),
        (b"", "contains no public key"),
        (b"# nothing\n", "contains no public key"),
        (public_pem(P256) + b"junk\n", "something else"),
        (public_pem(P256)[:-5], "something else"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "key 1 is not a public key"),
        (public_pem(P256) * 2, "twice"),
        (public_pem(P256) + pem(P256), "contains a private key"),
        (b"# \x1b[31m\n" + public_pem(P256), "cannot be printed"),
        (b"\xff", "not text"),
        (b"#" * 1_000_001, "more than 1000000 bytes"),
        *((public_pem(private), "key 1 is not an ECDSA P-256 key") for private in PRIVATE.values()),
    ],
    ids=range(14),
)
def test_a_trust_file_that_cannot_be_used_is_refused(tmp_path, content, message):
    path = tmp_path / "trust.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=message) as caught:
        read_trust(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert "BEGIN" not in str(caught.value)

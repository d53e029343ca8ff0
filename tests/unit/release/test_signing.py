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
from ml.gate.statement import PAYLOAD_TYPE, read_statement
from ml.release import signing
from ml.release.signing import open_envelope, payload_of, sign, verify_envelope
from ml.release.trust import read_trust

STATEMENT = statement_about()
PAYLOAD = STATEMENT.to_bytes()
LONG = "x" * 100_000


@pytest.fixture(scope="module")
def envelope(keys):
    return make_attestation(key=keys[0])


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
    """Check that an envelope is refused in one line that says what to do."""

    def check(envelope, message):
        data = envelope if isinstance(envelope, bytes) else json.dumps(envelope).encode()
        with pytest.raises(EvidenceError, match=message) as caught:
            verify_envelope(data, keys[1])
        line = str(caught.value)
        assert "\n" not in line
        assert len(line) < 500 + len(keys[1].source)
        assert "; " in line

    return check


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


def test_an_independent_client_verifies_what_we_sign(envelope, keys):
    signed = open_envelope(envelope, keys[1])
    assert signed.statement == STATEMENT == verify_envelope(envelope, keys[1])
    assert (signed.key_id, signed.key_name) == (next(iter(keys[1].keys)), "a test")
    assert payload_of(envelope) == PAYLOAD
    read = json.loads(envelope)
    (signature,) = read["signatures"]
    public = load_pem_private_key(keys[0].read_bytes(), None).public_key()
    payload, sig = base64.b64decode(read["payload"]), base64.b64decode(signature["sig"])
    public.verify(sig, pae(read["payloadType"], payload), ec.ECDSA(SHA256()))
    assert (signature["keyid"], read["payloadType"]) == (key_id(public), "application/vnd.in-toto+json")
    assert read_statement(payload) == STATEMENT
    with pytest.raises(InvalidSignature):
        public.verify(sig, pae(read["payloadType"], payload + b" "), ec.ECDSA(SHA256()))


def test_we_accept_what_an_independent_client_signs(keys, by_hand):
    made = by_hand()
    assert verify_envelope(json.dumps(made, indent=1).encode(), keys[1]) == STATEMENT
    made["signatures"][0]["sig"] = made["signatures"][0]["sig"].replace("+", "-").replace("/", "_")
    assert verify_envelope(json.dumps(made).encode(), keys[1]) == STATEMENT


def test_a_key_that_is_not_trusted_is_refused_also_by_the_name_of_a_trusted_one(
    keys, by_hand, refused, tmp_path
):
    by_other = by_hand(key=trust_file(tmp_path)[0])
    refused(by_other, f"which {keys[1].source} does not hold; add its public key")
    by_other["signatures"][0]["keyid"] = next(iter(keys[1].keys))
    refused(by_other, "is not valid")


@pytest.mark.parametrize("length", [0, 1, 8, 64, 72])
def test_bytes_that_are_no_signature_are_refused(by_hand, refused, length):
    made = by_hand()
    made["signatures"][0]["sig"] = b64(b"\x30" * length)
    refused(made, "is not valid" if length else "not a DSSE envelope")


def test_a_changed_payload_is_refused_wherever_it_is_changed(by_hand, refused):
    changed = [PAYLOAD.replace(b'"synthetic":false', b'"synthetic":true'), PAYLOAD + b"\n", PAYLOAD[:-1], b""]
    for at in range(0, len(PAYLOAD), len(PAYLOAD) // 40):
        changed.append(PAYLOAD[:at] + bytes([PAYLOAD[at] ^ 1]) + PAYLOAD[at + 1 :])
    made = by_hand()
    for other in changed:
        refused({**made, "payload": b64(other)}, "was changed")


def test_another_payload_type_is_refused_whether_signed_or_not(by_hand, refused):
    for kind in ("application/vnd.in-toto+json ", "text/plain", ""):
        refused(by_hand(kind=kind), "payload type")
    refused(by_hand(kind="text/plain", payloadType=PAYLOAD_TYPE), "is not valid")


def test_one_valid_signature_by_a_trusted_key_is_enough(keys, by_hand, tmp_path):
    other, trust = trust_file(tmp_path / "next", "the next")
    stranger = by_hand(key=trust_file(tmp_path / "stranger")[0])["signatures"]
    (tmp_path / "both.pem").write_bytes(
        trust.read_bytes() + public_pem(load_pem_private_key(keys[0].read_bytes(), None))
    )
    for broken, whole in ((by_hand(), by_hand(key=other)), (by_hand(key=other), by_hand())):
        signatures = [*stranger, {**broken["signatures"][0], "sig": "MAA="}, *whole["signatures"]]
        data = json.dumps({**whole, "signatures": signatures}).encode()
        assert (
            open_envelope(data, read_trust(tmp_path / "both.pem")).key_id == whole["signatures"][0]["keyid"]
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *(
            (changes, "not a DSSE envelope")
            for changes in (
                {"extra": 1},
                {LONG: 1},
                {"payload": None},
                {"payload": 7},
                {"signatures": "x"},
                {"signatures": [{"keyid": "a"}]},
                {"signatures": [{"keyid": "a", "sig": "MAA=", "cert": "x"}]},
                {"signatures": [{"keyid": 1, "sig": "MAA="}]},
            )
        ),
        *(({"payload": payload}, "malformed") for payload in ("a", "é", "AAAA AAAA")),
        ({"signatures": []}, "no signature"),
        ({"payloadType": LONG}, "payload type"),
        ({"signatures": [{"keyid": LONG, "sig": "MAA="}]}, "does not hold"),
        ({"signatures": [{"keyid": LONG, "sig": "MAA="}] * 2}, "Multiple signatures"),
    ],
    ids=range(15),
)
def test_an_envelope_of_another_form_is_refused_in_a_short_line(by_hand, refused, changes, message):
    refused({**by_hand(), **changes}, message)


@pytest.mark.parametrize(
    "garbage",
    [
        *(b"", b"{}", b"[]", b"null", b"\xff\xfe", b"not JSON", b'{"payload":NaN}', b"[" * 100_000),
        b'{"payload":"","payload":"","payloadType":"","signatures":[]}',
        b'{"a":' * 900 + b"1" + b"}" * 900,
        b"{" + b",".join(b'"%d":0' % n for n in range(30_000)) + b"}",
    ],
    ids=range(11),
)
def test_garbage_is_refused(refused, garbage):
    refused(garbage, "not a DSSE envelope")


def test_an_envelope_is_bounded_when_it_is_read_and_when_it_is_made(refused, keys, monkeypatch):
    refused(b" " * 16_000_001, "16000001 bytes, more than 16000000")
    monkeypatch.setattr(signing, "LARGEST_ENVELOPE", 1000)
    with pytest.raises(EvidenceError, match="1000 are allowed"):
        sign(STATEMENT, keys[0])


def _statement(changes=None, at="2026-08-01T12:00:00Z"):
    value = STATEMENT.to_json()
    value["predicate"]["measured"]["at"] = at
    return canonical_bytes({**value, **(changes or {})})


OTHER = statement_about({**FILES, "model.onnx": b"another"}).to_json()["subject"]


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (_statement({"_type": "https://in-toto.io/Statement/v0.1"}), "signed, but it is not a statement"),
        (_statement({"predicateType": "urn:jukebox:attestation:v2"}), "signed, but it is not a statement"),
        (_statement({"subject": STATEMENT.to_json()["subject"][:2]}), "signed, but it is not a statement"),
        (_statement({"subject": []}), "signed, but it is not a statement"),
        (_statement({"more": 1}), "signed, but it is not a statement"),
        (_statement({"subject": OTHER}), "not the files that were measured"),
        (_statement(at="2026-08-01T12:00:00"), r"at: .*timezone"),
        (json.dumps(STATEMENT.to_json()).encode(), "not in canonical form"),
    ],
    ids=range(8),
)
def test_what_a_trusted_key_signed_is_refused_if_it_is_no_statement_of_ours(
    by_hand, refused, payload, message
):
    refused(by_hand(payload), message)


P256 = ec.generate_private_key(ec.SECP256R1())
OTHERS = [rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()]
OTHERS += [ec.generate_private_key(ec.SECP384R1())]
NO_KEY, NO_PUBLIC = "not a private key in PEM; `jukebox judge keys`", "contains no public key"
NONSENSE = b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"


def _read(work, path, content, message) -> str:
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=rf"^[^\n]*{path}[^\n]*{message}[^\n]*$") as caught:
        work(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file"),
        (b"\xffsecret", "not text"),
        (b"x" * 1_000_001, "more than 1000000 bytes"),
        *((data, NO_KEY) for data in (b"", b"secret", public_pem(P256), pem(P256)[:120])),
        (pem(P256, BestAvailableEncryption(b"secret")), "is encrypted"),
        *((pem(private), "not an ECDSA P-256 key") for private in OTHERS),
    ],
    ids=range(11),
)
def test_a_key_file_that_cannot_be_used_is_refused_without_its_content(tmp_path, content, message):
    line = _read(lambda path: sign(STATEMENT, path), tmp_path / "key.pem", content, message)
    parts = (content or b"").decode(errors="replace").split("\n")
    assert not any(part in line for part in ("secret", *filter(None, parts)))


def test_a_trust_file_has_several_keys_and_their_names(keys, tmp_path):
    first = b"# platform team, 2026\r\n" + public_pem(P256).replace(b"\n", b"\r\n")
    second = public_pem(load_pem_private_key(keys[0].read_bytes(), None))
    (tmp_path / "trust.pem").write_bytes(b"# our keys\n\n" + first + b"\n" + second)
    trust = read_trust(tmp_path / "trust.pem")
    assert [key.name for key in trust.keys.values()] == ["platform team, 2026", ""]
    assert next(iter(trust.keys)) == key_id(P256.public_key())
    assert verify_envelope(make_attestation(key=keys[0]), trust) == STATEMENT


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file"),
        (b"\xff", "not text"),
        (b"#" * 1_000_001, "more than 1000000 bytes"),
        (b"", NO_PUBLIC),
        (b"# nothing\n", NO_PUBLIC),
        (public_pem(P256) + b"junk\n", "something else"),
        (public_pem(P256)[:-5], "something else"),
        (NONSENSE, "key 1 is not a public key"),
        (public_pem(P256) * 2, "twice"),
        (public_pem(P256) + pem(P256), "contains a private key"),
        (b"# \x1b[31m\n" + public_pem(P256), "cannot be printed"),
        *((public_pem(private), "key 1 is not an ECDSA P-256 key") for private in OTHERS),
    ],
    ids=range(14),
)
def test_a_trust_file_that_cannot_be_used_is_refused(tmp_path, content, message):
    assert "BEGIN" not in _read(read_trust, tmp_path / "trust.pem", content, message)

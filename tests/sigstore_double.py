"""A Sigstore in one process: Fulcio with its certificate log, and Rekor, over HTTP.

Fulcio accepts any token and certifies its ``sub``. Certificates, the proof that one is logged (RFC 6962), log
entries, checkpoints and promises are real: Sigstore's own client verifies each of them. The log has one entry
at a time, so that its tree is the leaf of that entry.
"""

import base64
import datetime
import hashlib
import json
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier
from servers import http_server

ISSUER = "https://kubernetes.default.svc"
SCTS = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
ISSUERS = {
    ObjectIdentifier("1.3.6.1.4.1.57264.1.1"): lambda issuer: issuer,
    ObjectIdentifier("1.3.6.1.4.1.57264.1.8"): lambda issuer: bytes([0x0C, len(issuer)]) + issuer,
}
"""How Fulcio writes the token's issuer into a certificate: as it is, and as a UTF8String."""
HOUR = datetime.timedelta(hours=1)


def token(identity: str, *, audience: str = "sigstore", ends: float = 600) -> str:
    """Return a token as an API server makes it, except for the signature."""

    def part(value: dict) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    now = int(time.time())
    claims = {"iss": ISSUER, "sub": identity, "aud": audience, "iat": now - 5, "exp": int(now + ends)}
    return f"{part({'alg': 'RS256', 'typ': 'JWT'})}.{part(claims)}.c2lnbmF0dXJl"


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _der(private: ec.EllipticCurvePrivateKey) -> bytes:
    return private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _octets(data: bytes) -> bytes:
    """Return a DER OCTET STRING of less than 256 bytes."""
    return bytes([0x04, len(data)] if len(data) < 128 else [0x04, 0x81, len(data)]) + data


@dataclass
class Sigstore:
    """The keys of the services.

    ``refuses`` is a status and a message that they answer instead. ``late`` is the time from a signature to
    its entry in the log.
    """

    ca: ec.EllipticCurvePrivateKey = field(default_factory=_key)
    certificates: ec.EllipticCurvePrivateKey = field(default_factory=_key)
    entries: ec.EllipticCurvePrivateKey = field(default_factory=_key)
    refuses: tuple[int, str] | None = None
    late: datetime.timedelta = datetime.timedelta(0)
    url: str = ""

    def __post_init__(self):
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        builder = self._certificate("fulcio", self.ca.public_key(), 24 * HOUR)
        self.root = builder.add_extension(constraints, critical=True).sign(self.ca, SHA256())

    def config(self) -> dict[str, Any]:
        """Return the client trust configuration of this site."""
        always = {"start": "2020-01-01T00:00:00Z"}

        def log(private: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
            key = {"rawBytes": _b64(_der(private)), "keyDetails": "PKIX_ECDSA_P256_SHA_256"}
            identifier = {"keyId": _b64(hashlib.sha256(_der(private)).digest())}
            about = {"publicKey": {**key, "validFor": always}, "logId": identifier}
            return {"baseUrl": self.url, "hashAlgorithm": "SHA2_256", **about}

        service = {"url": self.url, "majorApiVersion": 1, "validFor": always, "operator": "here"}
        root = {"rawBytes": _b64(self.root.public_bytes(Encoding.DER))}
        authority = {
            "subject": {"organization": "here", "commonName": "fulcio"},
            "uri": self.url,
            "certChain": {"certificates": [root]},
            "validFor": always,
        }
        return {
            "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            "trustedRoot": {
                "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
                "tlogs": [log(self.entries)],
                "ctlogs": [log(self.certificates)],
                "certificateAuthorities": [authority],
            },
            "signingConfig": {
                "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
                "caUrls": [service],
                "rekorTlogUrls": [service],
                "rekorTlogConfig": {"selector": "ANY"},
            },
        }

    def trust(self, *identities: str, keys: str = "") -> dict[str, Any]:
        """Return a trust file with these identities and keys."""
        named = [{"identity": identity, "issuer": ISSUER} for identity in identities]
        trusted = {"keys": keys, "identities": named, "sigstore": self.config()}
        return {"schema": "jukebox.trust/v1", **trusted}

    def _certificate(self, name: str, key: Any, lasts: datetime.timedelta) -> x509.CertificateBuilder:
        """Begin a certificate: with a name that of the authority, without one that of a signer."""
        now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fulcio")])
        identifier = x509.SubjectKeyIdentifier.from_public_key(self.ca.public_key())
        mine = x509.SubjectKeyIdentifier.from_public_key(key)
        # Digital signature, five others, certificate and list signature, two others.
        signs = bool(name)
        usage = x509.KeyUsage(not signs, False, False, False, False, signs, signs, False, False)
        serial = x509.random_serial_number()
        return (
            x509.CertificateBuilder(issuer, subject, key, serial, now - lasts / 2, now + lasts)
            .add_extension(usage, critical=True)
            .add_extension(mine, critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
            )
        )

    def certify(self, request: dict[str, Any], bearer: str) -> dict[str, Any]:
        """Answer as ``POST /api/v2/signingCert`` does."""
        payload = bearer.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        csr = x509.load_pem_x509_csr(base64.b64decode(request["certificateSigningRequest"]))
        issuer = claims["iss"].encode()
        name = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(claims["sub"])])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
        builder = (
            self._certificate("", csr.public_key(), HOUR / 3)
            .add_extension(usage, critical=False)
            .add_extension(name, critical=True)
        )
        for oid, written in ISSUERS.items():
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, written(issuer)), critical=False)
        proof = x509.UnrecognizedExtension(SCTS, _octets(self._logged(builder.sign(self.ca, SHA256()))))
        leaf = builder.add_extension(proof, critical=False).sign(self.ca, SHA256())
        chain = [one.public_bytes(Encoding.PEM).decode() for one in (leaf, self.root)]
        return {"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}

    def _logged(self, bare: x509.Certificate) -> bytes:
        """Return the list of timestamps of the certificate log, which has one (RFC 6962, 3.2 and 3.3)."""
        when = int(time.time() * 1000)
        tbs = bare.tbs_certificate_bytes
        entry = hashlib.sha256(_der(self.ca)).digest() + struct.pack("!I", len(tbs))[1:] + tbs
        data = struct.pack("!BBQH", 0, 0, when, 1) + entry + struct.pack("!H", 0)
        signature = self.certificates.sign(data, ec.ECDSA(SHA256()))
        log = hashlib.sha256(_der(self.certificates)).digest()
        proof = struct.pack("!B32sQHBBH", 0, log, when, 0, 4, 3, len(signature)) + signature
        return struct.pack("!HH", len(proof) + 2, len(proof)) + proof

    def log(self, proposed: dict[str, Any]) -> dict[str, Any]:
        """Answer as ``POST /api/v1/log/entries`` does for a DSSE envelope."""
        content = proposed["spec"]["proposedContent"]
        envelope = json.loads(content["envelope"])
        signatures = [
            {"signature": signature["sig"], "verifier": verifier}
            for signature, verifier in zip(envelope["signatures"], content["verifiers"], strict=True)
        ]

        def sha256(data: bytes) -> dict[str, str]:
            return {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}

        spec = {
            "envelopeHash": sha256(content["envelope"].encode()),
            "payloadHash": sha256(base64.b64decode(envelope["payload"])),
            "signatures": signatures,
        }
        body = _canonical({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})
        root = hashlib.sha256(b"\0" + body).digest()
        identifier = hashlib.sha256(_der(self.entries)).digest()
        at = int(time.time() + self.late.total_seconds())
        promised = {"body": _b64(body), "integratedTime": at, "logID": identifier.hex(), "logIndex": 0}
        # A Rekor of version 1 is known by the number of its tree.
        note = f"here - 1\n1\n{_b64(root)}\n"
        signed = identifier[:4] + self._sign_entry(note.encode())
        return {
            root.hex(): {
                **promised,
                "verification": {
                    "inclusionProof": {
                        "checkpoint": f"{note}\n\u2014 here {_b64(signed)}\n",
                        "hashes": [],
                        "logIndex": 0,
                        "rootHash": root.hex(),
                        "treeSize": 1,
                    },
                    "signedEntryTimestamp": _b64(self._sign_entry(_canonical(promised))),
                },
            }
        }

    def _sign_entry(self, data: bytes) -> bytes:
        return self.entries.sign(data, ec.ECDSA(SHA256()))


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


@contextmanager
def sigstore() -> Iterator[Sigstore]:
    """Serve a Sigstore with keys of its own."""
    site = Sigstore()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/api/v2/signingCert":
                bearer = self.headers["Authorization"].removeprefix("Bearer ")
                answer = site.certify(request, bearer)
            else:
                answer = site.log(request)
            code = 201
            if site.refuses:
                code, message = site.refuses
                answer = {"code": 16, "message": message}
            data = json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    with http_server(Handler) as site.url:
        yield site

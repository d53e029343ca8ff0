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
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import jwt
import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier
from servers import http_server

ISSUER = "https://kubernetes.default.svc"
SCTS = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
ISSUED_BY = ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
ECDSA = ec.ECDSA(SHA256())
HOUR = datetime.timedelta(hours=1)
MEDIA = "application/vnd.dev.sigstore"


def token(identity, *, audience="sigstore", ends=600):
    """Return a token as an API server makes it, except for the signature."""
    now = int(time.time())
    claims = {"iss": ISSUER, "sub": identity, "aud": audience, "iat": now - 5, "exp": int(now + ends)}
    return jwt.encode(claims, "k" * 32)


def _der(private):
    return private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _id(private):
    return hashlib.sha256(_der(private)).digest()


def _b64(data):
    return base64.b64encode(data).decode()


class Sigstore:
    """The keys of the services. ``refuses`` is a message that they answer instead, with status 401."""

    refuses = ""
    url = ""

    def __init__(self):
        self.ca, self.certificates, self.entries = (ec.generate_private_key(ec.SECP256R1()) for _ in "123")
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        builder = self._certificate("fulcio", self.ca.public_key(), 24 * HOUR)
        self.root = builder.add_extension(constraints, critical=True).sign(self.ca, SHA256())

    def config(self):
        """Return the client trust configuration of this site."""
        always = {"start": "2020-01-01T00:00:00Z"}

        def log(private):
            key = {
                "rawBytes": _b64(_der(private)),
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "validFor": always,
            }
            about = {"publicKey": key, "logId": {"keyId": _b64(_id(private))}}
            return {"baseUrl": self.url, "hashAlgorithm": "SHA2_256", **about}

        service = {"url": self.url, "majorApiVersion": 1, "validFor": always, "operator": "here"}
        chain = {"certificates": [{"rawBytes": _b64(self.root.public_bytes(Encoding.DER))}]}
        subject = {"organization": "here", "commonName": "fulcio"}
        authority = {"subject": subject, "uri": self.url, "certChain": chain, "validFor": always}
        logs = {"tlogs": [log(self.entries)], "ctlogs": [log(self.certificates)]}
        services = {"caUrls": [service], "rekorTlogUrls": [service], "rekorTlogConfig": {"selector": "ANY"}}
        root = {"mediaType": f"{MEDIA}.trustedroot+json;version=0.1", "certificateAuthorities": [authority]}
        return {
            "mediaType": f"{MEDIA}.clienttrustconfig.v0.1+json",
            "trustedRoot": {**root, **logs},
            "signingConfig": {"mediaType": f"{MEDIA}.signingconfig.v0.2+json", **services},
        }

    def trust(self, *identities, keys=""):
        """Return a trust file with these identities and keys."""
        named = [{"identity": identity, "issuer": ISSUER} for identity in identities]
        return {"schema": "jukebox.trust/v1", "keys": keys, "identities": named, "sigstore": self.config()}

    def _certificate(self, name, key, lasts):
        """Begin a certificate: with a name that of the authority, without one that of a signer."""
        now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fulcio")])
        signs = bool(name)
        # Digital signature, five others, certificate and list signature, two others.
        usage = x509.KeyUsage(not signs, False, False, False, False, signs, signs, False, False)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.ca.public_key())
        serial = x509.random_serial_number()
        builder = x509.CertificateBuilder(issuer, subject, key, serial, now - lasts / 2, now + lasts)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        return builder.add_extension(usage, critical=True).add_extension(authority, critical=False)

    def certify(self, request, bearer):
        """Answer as ``POST /api/v2/signingCert`` does."""
        claims = jwt.decode(bearer, options={"verify_signature": False})
        csr = x509.load_pem_x509_csr(base64.b64decode(request["certificateSigningRequest"]))
        name = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(claims["sub"])])
        builder = self._certificate("", csr.public_key(), HOUR / 3).add_extension(name, critical=True)
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
        issuer = x509.UnrecognizedExtension(ISSUED_BY, claims["iss"].encode())
        builder = builder.add_extension(usage, critical=False).add_extension(issuer, critical=False)
        proof = self._logged(builder.sign(self.ca, SHA256()).tbs_certificate_bytes)
        # A DER OCTET STRING of less than 128 bytes.
        octets = x509.UnrecognizedExtension(SCTS, bytes([0x04, len(proof)]) + proof)
        leaf = builder.add_extension(octets, critical=False).sign(self.ca, SHA256())
        chain = [one.public_bytes(Encoding.PEM).decode() for one in (leaf, self.root)]
        return {"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}

    def _logged(self, tbs):
        """Return the list of timestamps of the certificate log, which has one (RFC 6962, 3.2 and 3.3)."""
        when = int(time.time() * 1000)
        entry = struct.pack("!BBQH", 0, 0, when, 1) + _id(self.ca) + struct.pack("!I", len(tbs))[1:] + tbs
        signature = self.certificates.sign(entry + bytes(2), ECDSA)
        about = 0, _id(self.certificates), when, 0, 4, 3, len(signature)
        proof = struct.pack("!B32sQHBBH", *about) + signature
        return struct.pack("!HH", len(proof) + 2, len(proof)) + proof

    def log(self, proposed):
        """Answer as ``POST /api/v1/log/entries`` does for a DSSE envelope."""
        content = proposed["spec"]["proposedContent"]
        envelope = json.loads(content["envelope"])
        (signature,), (verifier,) = envelope["signatures"], content["verifiers"]

        def sha256(data):
            return {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}

        spec = {
            "envelopeHash": sha256(content["envelope"].encode()),
            "payloadHash": sha256(base64.b64decode(envelope["payload"])),
            "signatures": [{"signature": signature["sig"], "verifier": verifier}],
        }
        body = rfc8785.dumps({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})
        root, log = hashlib.sha256(b"\0" + body).digest(), _id(self.entries)
        entry = {"body": _b64(body), "integratedTime": int(time.time()), "logID": log.hex(), "logIndex": 0}
        # A Rekor of version 1 is known by the number of its tree.
        note = f"here - 1\n1\n{_b64(root)}\n"
        checkpoint = f"{note}\n\u2014 here {_b64(log[:4] + self.entries.sign(note.encode(), ECDSA))}\n"
        proof = {"hashes": [], "logIndex": 0, "rootHash": root.hex(), "treeSize": 1, "checkpoint": checkpoint}
        promise = _b64(self.entries.sign(rfc8785.dumps(entry), ECDSA))
        verification = {"inclusionProof": proof, "signedEntryTimestamp": promise}
        return {root.hex(): {**entry, "verification": verification}}


@contextmanager
def sigstore():
    """Serve a Sigstore with keys of its own."""
    site = Sigstore()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if site.refuses:
                answer = {"code": 16, "message": site.refuses}
            elif self.path == "/api/v2/signingCert":
                answer = site.certify(request, self.headers["Authorization"].removeprefix("Bearer "))
            else:
                answer = site.log(request)
            self.send_response(401 if site.refuses else 201)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_):
            pass

    with http_server(Handler) as site.url:
        yield site

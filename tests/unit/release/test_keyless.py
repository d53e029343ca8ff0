"""Keyless signatures: an identity that Fulcio certified counts where the trust root names it."""

import base64
import datetime
import json
import time

import pytest
from attestations import FILES, make_attestation, statement_about, trust_file
from servers import Site, closed_port, serving, silent_port
from sigstore_double import ISSUER, sigstore, token

from ml.core.errors import EvidenceError, PlatformError, UsageError
from ml.release import keyless, signing
from ml.release.keyless import brief, sigstore_in
from ml.release.signing import open_envelope, payload_of, sign_keyless
from ml.release.trust import read_trust

ACCOUNTS = "https://kubernetes.io/namespaces/jukebox/serviceaccounts"
JUDGE, OTHER = f"{ACCOUNTS}/jukebox-promote", f"{ACCOUNTS}/jukebox-ci"
STATEMENT = statement_about()
PAYLOAD = base64.b64encode(STATEMENT.to_bytes().replace(b'"passed":true', b'"passed":false')).decode()
NO_BUNDLE, NOT_SIGNED = "not a Sigstore bundle: ", "not signed by an identity in .*trust.json"


@pytest.fixture(scope="module")
def site():
    with sigstore() as found:
        yield found


@pytest.fixture(scope="module")
def other():
    """The configuration of another site."""
    with sigstore() as found:
        return found.config()


@pytest.fixture
def signed(site, tmp_path):
    """Sign with a token of an identity, at the services of a configuration."""

    def signed(config=None, identity=JUDGE, **about):
        (tmp_path / "sigstore.json").write_text(json.dumps(config or site.config()))
        (tmp_path / "token").write_text(token(identity, **about) + "\n")
        return sign_keyless(STATEMENT, sigstore_in(tmp_path / "sigstore.json"), tmp_path / "token")

    return signed


@pytest.fixture
def trusting(tmp_path):
    """Return the trust root of a trust file."""

    def trusting(value):
        (tmp_path / "trust.json").write_text(json.dumps(value))
        return read_trust(tmp_path / "trust.json")

    return trusting


@pytest.fixture
def trust(site, trusting):
    return trusting(site.trust(JUDGE))


def changed(value, path, new=None):
    """Set a value at a dotted path; None removes it."""
    *above, last = path.split(".")
    place = value
    for name in above:
        place = place[int(name) if name.isdigit() else name]
    if new is None:
        del place[last]
    else:
        place[last] = new
    return value


def refused(bundle, trust, message) -> None:
    """Check that an attestation is refused in one line that says what to do."""
    with pytest.raises(EvidenceError, match=message) as caught:
        open_envelope(bundle if isinstance(bundle, bytes) else json.dumps(bundle).encode(), trust)
    line = str(caught.value)
    assert ("\n" in line, "; " in line) == (False, True)
    assert len(line) < 500 + len(trust.source)


def test_what_was_signed_comes_back_with_the_identity_also_long_after(signed, trust, monkeypatch):
    bundle = signed()
    for now in (time.time(), time.time() + 30 * 24 * 3600):
        monkeypatch.setattr("time.time", lambda now=now: now)
        found = open_envelope(bundle, trust)
        assert (found.statement, found.key_name) == (STATEMENT, f"{JUDGE}, {ISSUER}")
    assert payload_of(bundle) == STATEMENT.to_bytes()


def test_one_of_several_identities_is_enough_and_another_is_not(site, signed, trusting):
    bundle = signed()
    assert open_envelope(bundle, trusting(site.trust(OTHER, JUDGE))).key_name.startswith(JUDGE)
    refused(bundle, trusting(site.trust(OTHER)), NOT_SIGNED)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("identities.0.issuer", "OIDCIssuer does not match"),
        ("sigstore", "failed to build timestamp certificate chain"),
        ("sigstore.trustedRoot.ctlogs", "SCT"),
        ("sigstore.trustedRoot.tlogs", "log entry|checkpoint"),
    ],
)
def test_what_the_trust_root_does_not_name_is_refused(site, other, signed, trusting, path, message):
    new = {"identities": "https://elsewhere.example", "sigstore": other}[path.split(".")[0]]
    for name in path.split(".")[1:] if path.startswith("sigstore") else ():
        new = new[name]
    refused(signed(), trusting(changed(site.trust(JUDGE), path, new)), message)


def test_a_signature_from_after_the_certificate_is_refused(site, signed, trust, monkeypatch):
    monkeypatch.setattr(site, "late", datetime.timedelta(hours=1))
    refused(signed(), trust, "certificate chain|expired")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("dsseEnvelope.payload", PAYLOAD, NOT_SIGNED),
        ("dsseEnvelope.payloadType", "application/json", NOT_SIGNED),
        ("dsseEnvelope.signatures", [], NOT_SIGNED),
        ("verificationMaterial.tlogEntries", [], NO_BUNDLE),
        ("verificationMaterial.certificate.rawBytes", "", NO_BUNDLE),
        ("verificationMaterial", None, NO_BUNDLE),
        ("dsseEnvelope", {"payload": 1}, NO_BUNDLE),
    ],
)
def test_what_was_changed_is_refused(signed, trust, path, value, message):
    refused(changed(json.loads(signed()), path, value), trust, message)


def test_a_signed_bundle_of_another_payload_type_is_refused(signed, trust, monkeypatch):
    monkeypatch.setattr(keyless, "PAYLOAD_TYPE", "text/plain")
    refused(signed(), trust, r"payload type is 'application/vnd.in-toto\+json', not 'text/plain'")


@pytest.mark.parametrize("envelope", [{}, {"payload": 1}, {"payload": "not base64"}], ids=str)
def test_a_damaged_bundle_has_no_payload(envelope):
    with pytest.raises((TypeError, ValueError)):
        payload_of(json.dumps({"dsseEnvelope": envelope}).encode())


def test_keys_and_identities_count_where_the_trust_root_has_them(site, signed, trust, trusting, tmp_path):
    key, pem = trust_file(tmp_path)
    by_key, bundle = make_attestation(FILES, key=key), signed()
    refused(bundle, read_trust(pem), "is signed keyless, and .*trust.pem has keys only")
    refused(by_key, trust, "which .*trust.json does not hold")
    both = trusting(site.trust(JUDGE, keys=pem.read_text()))
    assert open_envelope(bundle, both).key_name.startswith(JUDGE)
    assert open_envelope(by_key, both).key_name == "a test"


@pytest.mark.parametrize("about", [{"ends": -60}, {"audience": "somebody"}], ids=str)
def test_a_token_that_is_not_accepted_is_told_and_not_shown(signed, tmp_path, about):
    with pytest.raises(UsageError, match="is malformed, expired, or for another audience; give") as caught:
        signed(**about)
    assert token(JUDGE, **about)[:40] not in str(caught.value)
    with pytest.raises(UsageError, match=r"identity token .*nowhere cannot be read: .*projected volume"):
        sign_keyless(STATEMENT, sigstore_in(tmp_path / "sigstore.json"), tmp_path / "nowhere")


def test_what_fulcio_refuses_is_told_with_its_words(site, signed, monkeypatch):
    monkeypatch.setattr(site, "refuses", (401, "There was an error processing the identity token"))
    with pytest.raises(PlatformError, match=r"401 .*\(There was an error processing the identity") as caught:
        signed()
    assert token(JUDGE)[:40] not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("closed", r"cannot be signed: http://127\.0\.0\.1:\d+/api/v2/signingCert cannot be reached"),
        ("silent", "did not answer within 0 s"),
        ("html", r"cannot be signed: \w+"),
    ],
)
def test_services_that_do_not_answer_are_told_in_time(site, signed, monkeypatch, kind, message):
    monkeypatch.setattr(keyless, "MOST", 0.4 if kind == "silent" else 60)
    with silent_port(connects=True) as silent, serving(Site({"/api/v2/signingCert": b"<html>"})) as page:
        addresses = {"closed": f"http://127.0.0.1:{closed_port()}", "silent": f"http://127.0.0.1:{silent}"}
        config = json.dumps(site.config()).replace(site.url, addresses.get(kind, page.url))
        with pytest.raises(PlatformError, match=message):
            signed(json.loads(config))


def test_a_bundle_that_is_too_large_is_not_returned_and_a_reason_is_short(signed, monkeypatch):
    monkeypatch.setattr(signing, "LARGEST_ENVELOPE", 1000)
    with pytest.raises(EvidenceError, match="1000 are allowed"):
        signed()
    assert brief("a\n b\x1b" + "x" * 300) == "a b?" + "x" * 196 + "…"
    assert brief(KeyError()) == "KeyError"


@pytest.mark.parametrize(
    "path", ["signingConfig.caUrls", "signingConfig.rekorTlogUrls", "mediaType", "trustedRoot"]
)
def test_a_configuration_that_lacks_something_is_told(site, signed, tmp_path, path):
    message = r"^the Sigstore configuration .*sigstore\.json: [^\n]*; give the site's[^\n]+$"
    with pytest.raises(UsageError, match=message):
        signed(changed(site.config(), path))
    (tmp_path / "s.json").write_text("fulcio: here")
    with pytest.raises(UsageError, match="is not JSON; give the site's Sigstore client trust configuration"):
        sigstore_in(tmp_path / "s.json")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("identities", [], "identities"),
        ("schema", "jukebox.trust/v9", "schema"),
        ("colour", "red", "colour"),
        ("sigstore", {}, "give the site's Sigstore"),
        ("keys", "hello", "something else than public keys"),
        ("identities", [{"identity": JUDGE}], "issuer"),
    ],
)
def test_a_trust_file_that_is_none_is_told(site, trusting, name, value, message):
    with pytest.raises(UsageError, match=rf"^the trust file \S+/trust.json[^\n]*{message}[^\n]*$"):
        trusting({**site.trust(JUDGE), name: value})

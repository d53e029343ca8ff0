"""Keyless signatures: an identity that Fulcio certified counts where the trust root names it."""

import base64
import json
import time

import pytest
from attestations import FILES, make_attestation, statement_about, trust_file
from servers import Site, closed_port, serving, silent_port
from sigstore_double import ISSUER, sigstore, token

from ml.core.errors import EvidenceError, PlatformError, UsageError
from ml.release import keyless
from ml.release.keyless import brief, sigstore_in
from ml.release.signing import open_envelope, payload_of, sign_keyless
from ml.release.trust import read_trust

ACCOUNTS = "https://kubernetes.io/namespaces/jukebox/serviceaccounts"
JUDGE, OTHER = f"{ACCOUNTS}/jukebox-promote", f"{ACCOUNTS}/jukebox-ci"
STATEMENT = statement_about()
PAYLOAD = base64.b64encode(STATEMENT.to_bytes().replace(b'"passed":true', b'"passed":false')).decode()
NOT_SIGNED = "not signed by an identity in .*trust.json"


@pytest.fixture(scope="module")
def site():
    with sigstore() as served:
        yield served


@pytest.fixture
def signed(site, tmp_path):
    """Sign with a token of an identity, at the services of a configuration."""

    def signed(config=None, **about):
        (tmp_path / "sigstore.json").write_text(json.dumps(config or site.config()))
        (tmp_path / "token").write_text(token(JUDGE, **about) + "\n")
        return sign_keyless(STATEMENT, sigstore_in(tmp_path / "sigstore.json"), tmp_path / "token")

    return signed


@pytest.fixture
def trusting(tmp_path):
    """Return the trust root of a trust file."""

    def trusting(value):
        (tmp_path / "trust.json").write_text(json.dumps(value))
        return read_trust(tmp_path / "trust.json")

    return trusting


def changed(value, path, new):
    """Set a value at a dotted path."""
    *above, last = path.split(".")
    place = value
    for name in above:
        place = place[int(name) if name.isdigit() else name]
    place[last] = new
    return value


def refused(bundle, trust, message) -> None:
    """Check that an attestation is refused in one line that says what to do."""
    with pytest.raises(EvidenceError, match=message) as caught:
        open_envelope(bundle if isinstance(bundle, bytes) else json.dumps(bundle).encode(), trust)
    assert ("\n" in str(caught.value), "; " in str(caught.value)) == (False, True)


def test_what_was_signed_comes_back_with_the_identity_also_long_after(site, signed, trusting, monkeypatch):
    bundle, later = signed(), time.time() + 30 * 24 * 3600
    monkeypatch.setattr("time.time", lambda: later)
    opened = open_envelope(bundle, trusting(site.trust(OTHER, JUDGE)))
    assert (opened.statement, opened.key_name) == (STATEMENT, f"{JUDGE}, {ISSUER}")
    assert payload_of(bundle) == STATEMENT.to_bytes()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("identities.0.identity", NOT_SIGNED),
        ("identities.0.issuer", "OIDCIssuer does not match"),
        ("sigstore.trustedRoot.certificateAuthorities", "failed to build timestamp certificate chain"),
        ("sigstore.trustedRoot.ctlogs", "SCT"),
        ("sigstore.trustedRoot.tlogs", "log entry|checkpoint"),
    ],
)
def test_what_the_trust_root_does_not_name_is_refused(site, signed, trusting, path, message):
    with sigstore() as another:
        new = another.config()["trustedRoot"].get(path.rpartition(".")[2], "https://elsewhere.example")
    refused(signed(), trusting(changed(site.trust(JUDGE), path, new)), message)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("dsseEnvelope.payload", PAYLOAD, NOT_SIGNED),
        ("verificationMaterial", None, "not a Sigstore bundle: "),
    ],
)
def test_what_was_changed_is_refused(site, signed, trusting, path, value, message):
    refused(changed(json.loads(signed()), path, value), trusting(site.trust(JUDGE)), message)


def test_a_signed_bundle_of_another_payload_type_is_refused(site, signed, trusting, monkeypatch):
    monkeypatch.setattr(keyless, "PAYLOAD_TYPE", "text/plain")
    message = r"payload type is 'application/vnd.in-toto\+json', not 'text/plain'"
    refused(signed(), trusting(site.trust(JUDGE)), message)


def test_a_payload_with_something_else_than_base64_is_not_read():
    with pytest.raises(ValueError, match="base64"):
        payload_of(b'{"dsseEnvelope":{"payload":"Y Q=="}}')


def test_keys_and_identities_count_where_the_trust_root_has_them(site, signed, trusting, tmp_path):
    key, pem = trust_file(tmp_path)
    by_key, bundle = make_attestation(FILES, key=key), signed()
    refused(bundle, read_trust(pem), "is signed keyless, and .*trust.pem has keys only")
    refused(by_key, trusting(site.trust(JUDGE)), "which .*trust.json does not hold")
    both = trusting(site.trust(JUDGE, keys=pem.read_text()))
    assert open_envelope(bundle, both).key_name.startswith(JUDGE)
    assert open_envelope(by_key, both).key_name == "a test"


@pytest.mark.parametrize("about", [{"ends": -60}, {"audience": "somebody"}], ids=str)
def test_a_token_that_is_not_accepted_is_told_and_not_shown(signed, about):
    with pytest.raises(UsageError, match="is malformed, expired, or for another audience; give") as caught:
        signed(**about)
    assert token(JUDGE, **about)[:40] not in str(caught.value)


def test_what_fulcio_refuses_is_told_with_its_words(site, signed, monkeypatch):
    monkeypatch.setattr(site, "refuses", "There was an error processing the identity token")
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


def test_a_reason_is_one_short_line():
    assert brief("a\n b\x1b" + "x" * 300) == "a b?" + "x" * 196 + "…"
    assert brief(KeyError()) == "KeyError"


@pytest.mark.parametrize("text", ["fulcio: here", "{}"])
def test_a_configuration_that_is_none_is_told(site, signed, tmp_path, text):
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(UsageError, match=r"^the Sigstore configuration [^\n]*; give the site's[^\n]+$"):
        sigstore_in(tmp_path / "s.json")
    with pytest.raises(UsageError, match=r"sigstore\.json: [^\n]*Fulcio[^\n]*; give the site's[^\n]+$"):
        signed(changed(site.config(), "signingConfig.caUrls", []))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("identities", [], "identities"),
        ("schema", "jukebox.trust/v9", "schema"),
        ("sigstore", {}, "give the site's Sigstore"),
        ("keys", "hello", "something else than public keys"),
    ],
)
def test_a_trust_file_that_is_none_is_told(site, trusting, name, value, message):
    with pytest.raises(UsageError, match=rf"^the trust file \S+/trust.json[^\n]*{message}[^\n]*$"):
        trusting({**site.trust(JUDGE), name: value})

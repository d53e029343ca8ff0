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

JUDGE = "https://kubernetes.io/namespaces/jukebox/serviceaccounts/jukebox-promote"
OTHER = "https://kubernetes.io/namespaces/jukebox/serviceaccounts/jukebox-ci"
STATEMENT = statement_about()


@pytest.fixture(scope="module")
def site():
    with sigstore() as found:
        yield found


@pytest.fixture(scope="module")
def other():
    with sigstore() as found:
        return found


def signed(folder, config, identity=JUDGE, **about) -> bytes:
    """Sign with a token of an identity, at the services of a configuration."""
    (folder / "sigstore.json").write_text(json.dumps(config))
    (folder / "token").write_text(token(identity, **about) + "\n")
    return sign_keyless(STATEMENT, sigstore_in(folder / "sigstore.json"), folder / "token")


@pytest.fixture(scope="module")
def bundle(site, tmp_path_factory):
    return signed(tmp_path_factory.mktemp("bundle"), site.config())


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


def refused(bundle, trust, message) -> None:
    """Check that an attestation is refused in one line that says what to do."""
    with pytest.raises(EvidenceError, match=message) as caught:
        open_envelope(bundle if isinstance(bundle, bytes) else json.dumps(bundle).encode(), trust)
    line = str(caught.value)
    assert "\n" not in line
    assert "; " in line
    assert len(line) < 500 + len(trust.source)


def test_what_was_signed_comes_back_with_the_identity_also_long_after(bundle, trust, monkeypatch):
    later = time.time() + 30 * 24 * 3600
    for now in (time.time(), later):
        monkeypatch.setattr("time.time", lambda now=now: now)
        found = open_envelope(bundle, trust)
        assert (found.statement, found.key_name) == (STATEMENT, f"{JUDGE}, {ISSUER}")
    assert payload_of(bundle) == STATEMENT.to_bytes()


def test_one_of_several_identities_is_enough_and_another_is_not(site, bundle, trusting, tmp_path):
    assert open_envelope(bundle, trusting(site.trust(OTHER, JUDGE))).key_name.startswith(JUDGE)
    refused(bundle, trusting(site.trust(OTHER)), "not signed by an identity in .*trust.json")


def _issuer(value, _):
    value["identities"][0]["issuer"] = "https://elsewhere.example"


def _site(value, other):
    value["sigstore"] = other


def _part(part):
    def change(value, other):
        value["sigstore"]["trustedRoot"][part] = other["trustedRoot"][part]

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_issuer, "OIDCIssuer does not match"),
        (_site, "failed to build timestamp certificate chain"),
        (_part("ctlogs"), "SCT"),
        (_part("tlogs"), "log entry|checkpoint"),
    ],
    ids=["issuer", "site", "certificate log", "transparency log"],
)
def test_what_the_trust_root_does_not_name_is_refused(site, other, bundle, trusting, change, message):
    value = site.trust(JUDGE)
    change(value, other.config())
    refused(bundle, trusting(value), message)


def test_a_signature_that_was_logged_after_its_certificate_expired_is_refused(
    site, trust, tmp_path, monkeypatch
):
    monkeypatch.setattr(site, "late", datetime.timedelta(hours=1))
    refused(signed(tmp_path, site.config()), trust, "certificate chain|expired")


PAYLOAD = base64.b64encode(STATEMENT.to_bytes().replace(b'"passed":true', b'"passed":false')).decode()
NO_BUNDLE, NOT_SIGNED = "not a Sigstore bundle: ", "not signed by an identity"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("dsseEnvelope", "payload"), PAYLOAD, NOT_SIGNED),
        (("dsseEnvelope", "payloadType"), "application/json", f"{NOT_SIGNED}|payload type"),
        (("dsseEnvelope", "signatures"), [], f"{NOT_SIGNED}|{NO_BUNDLE}"),
        (("verificationMaterial", "tlogEntries"), [], NO_BUNDLE),
        (("verificationMaterial", "certificate", "rawBytes"), "", NO_BUNDLE),
        (("verificationMaterial",), None, NO_BUNDLE),
        (("dsseEnvelope",), {"payload": 1}, NO_BUNDLE),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else "",
)
def test_what_was_changed_is_refused(bundle, trust, path, value, message):
    changed = whole = json.loads(bundle)
    for name in path[:-1]:
        changed = changed[name]
    changed[path[-1]] = value
    refused(whole, trust, message)


def test_a_signed_bundle_of_another_payload_type_is_refused(bundle, trust, monkeypatch):
    monkeypatch.setattr(keyless, "PAYLOAD_TYPE", "text/plain")
    refused(bundle, trust, "payload type is 'application/vnd.in-toto.json', not 'text/plain'")


@pytest.mark.parametrize("envelope", [{}, {"payload": 1}, {"payload": "not base64"}], ids=str)
def test_a_damaged_bundle_has_no_payload(envelope):
    with pytest.raises((TypeError, ValueError)):
        payload_of(json.dumps({"dsseEnvelope": envelope}).encode())


def test_keys_and_identities_are_trusted_where_the_trust_root_names_them(
    site, bundle, trust, trusting, tmp_path
):
    key, pem = trust_file(tmp_path)
    by_key = make_attestation(FILES, key=key)
    refused(bundle, read_trust(pem), "is signed keyless, and .*trust.pem has keys only")
    refused(by_key, trust, "which .*trust.json does not hold")
    both = trusting(site.trust(JUDGE, keys=pem.read_text()))
    assert open_envelope(bundle, both).key_name.startswith(JUDGE)
    assert open_envelope(by_key, both).key_name == "a test"


@pytest.mark.parametrize("about", [{"ends": -60}, {"audience": "somebody"}], ids=str)
def test_a_token_that_is_not_accepted_is_told_and_not_shown(site, tmp_path, about):
    with pytest.raises(UsageError, match="is malformed, expired, or for another audience; give") as caught:
        signed(tmp_path, site.config(), **about)
    assert token(JUDGE, **about)[:40] not in str(caught.value)


def test_a_missing_token_is_told(site, tmp_path):
    signed(tmp_path, site.config())
    with pytest.raises(UsageError, match=r"identity token .*nowhere cannot be read: .*projected volume"):
        sign_keyless(STATEMENT, sigstore_in(tmp_path / "sigstore.json"), tmp_path / "nowhere")


def test_what_fulcio_refuses_is_told_with_its_words(site, tmp_path, monkeypatch):
    monkeypatch.setattr(site, "refuses", (401, "There was an error processing the identity token"))
    with pytest.raises(PlatformError, match=r"401 .*\(There was an error processing the identity") as caught:
        signed(tmp_path, site.config())
    assert token(JUDGE)[:40] not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("closed", r"cannot be signed: http://127\.0\.0\.1:\d+/api/v2/signingCert cannot be reached"),
        ("silent", "did not answer within 0 s"),
        ("html", r"cannot be signed: \w+"),
    ],
)
def test_services_that_do_not_answer_are_told_in_time(site, tmp_path, monkeypatch, kind, message):
    monkeypatch.setattr(keyless, "MOST", 60 if kind != "silent" else 0.4)
    page = Site({"/api/v2/signingCert": b"<html>"})
    with silent_port(connects=True) as port, serving(page):
        addresses = {"closed": f"http://127.0.0.1:{closed_port()}", "silent": f"http://127.0.0.1:{port}"}
        config = json.dumps(site.config()).replace(site.url, addresses.get(kind, page.url))
        with pytest.raises(PlatformError, match=message):
            signed(tmp_path, json.loads(config))


def test_a_bundle_that_is_too_large_is_not_returned(site, tmp_path, monkeypatch):
    monkeypatch.setattr(signing, "LARGEST_ENVELOPE", 1000)
    with pytest.raises(EvidenceError, match="1000 are allowed"):
        signed(tmp_path, site.config())


def test_a_reason_is_one_short_printable_line():
    assert brief("a\n b\x1b" + "x" * 300) == "a b?" + "x" * 196 + "…"
    assert brief(KeyError()) == "KeyError"


@pytest.mark.parametrize(
    "path",
    [("signingConfig", "caUrls"), ("signingConfig", "rekorTlogUrls"), ("mediaType",), ("trustedRoot",)],
    ids=str,
)
def test_a_configuration_that_lacks_something_is_told(site, tmp_path, path):
    changed = config = site.config()
    for name in path[:-1]:
        changed = changed[name]
    del changed[path[-1]]
    with pytest.raises(
        UsageError, match=r"^the Sigstore configuration .*sigstore\.json: [^\n]*; give the site's[^\n]+$"
    ):
        signed(tmp_path, config)


def test_a_configuration_that_is_no_json_is_told(tmp_path):
    (tmp_path / "s.json").write_text("fulcio: here")
    with pytest.raises(UsageError, match="is not JSON; give the site's Sigstore client trust configuration"):
        sigstore_in(tmp_path / "s.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"identities": []}, "identities"),
        ({"schema": "jukebox.trust/v9"}, "schema"),
        ({"colour": "red"}, "colour"),
        ({"sigstore": {}}, "give the site's Sigstore"),
        ({"keys": "hello"}, "something else than public keys"),
        ({"identities": [{"identity": JUDGE}]}, "issuer"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_trust_file_that_is_none_is_told(site, trusting, change, message):
    with pytest.raises(UsageError, match=rf"^the trust file \S+/trust.json[^\n]*{message}[^\n]*$"):
        trusting({**site.trust(JUDGE), **change})

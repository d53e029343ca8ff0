"""Keyless signatures: an identity that a Fulcio certified counts where the trust root names it."""

import base64
import datetime
import json
import time

import pytest
from attestations import FILES, make_attestation, statement_about, trust_file
from servers import closed_port, silent_port
from sigstore_double import ISSUER, sigstore, token

from ml.core.errors import EvidenceError, PlatformError, UsageError
from ml.release import keyless
from ml.release.keyless import sigstore_in
from ml.release.signing import open_envelope, payload_of, sign_keyless
from ml.release.trust import read_trust

JUDGE = "https://kubernetes.io/namespaces/jukebox/serviceaccounts/jukebox-promote"
OTHER = "https://kubernetes.io/namespaces/jukebox/serviceaccounts/jukebox-ci"
STATEMENT = statement_about()


@pytest.fixture(scope="module")
def site():
    with sigstore() as found:
        yield found


@pytest.fixture
def refusing(site):
    yield site
    site.refuses = None


def signed(site, folder, identity=JUDGE, **about) -> bytes:
    return sign_keyless(
        STATEMENT,
        sigstore_in(written(folder / "sigstore.json", site.config())),
        token_in(folder, identity, **about),
    )


def token_in(folder, identity=JUDGE, **about):
    file = folder / "token"
    file.write_text(token(identity, **about) + "\n")
    return file


def written(path, value):
    path.write_text(json.dumps(value))
    return path


@pytest.fixture(scope="module")
def bundle(site, tmp_path_factory):
    return signed(site, tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def trust(site, tmp_path):
    return read_trust(written(tmp_path / "trust.json", site.trust(JUDGE)))


def refused(bundle, trust, message) -> None:
    """Check that an attestation is refused in one line that says what to do."""
    data = bundle if isinstance(bundle, bytes) else json.dumps(bundle).encode()
    with pytest.raises(EvidenceError, match=message) as caught:
        open_envelope(data, trust)
    line = str(caught.value)
    assert "\n" not in line
    assert "; " in line
    assert len(line) < 500 + len(trust.source)


def test_what_was_signed_comes_back_with_the_identity(bundle, trust):
    found = open_envelope(bundle, trust)
    assert (found.statement, found.key_name) == (STATEMENT, f"{JUDGE}, {ISSUER}")
    assert payload_of(bundle) == STATEMENT.to_bytes()


def test_one_of_several_identities_is_enough(site, bundle, tmp_path):
    trust = read_trust(written(tmp_path / "trust.json", site.trust(OTHER, JUDGE)))
    assert open_envelope(bundle, trust).key_name.startswith(JUDGE)


def test_another_identity_is_refused(site, trust, tmp_path):
    refused(signed(site, tmp_path, OTHER), trust, "not signed by an identity in .*trust.json")


def test_the_identity_by_another_issuer_is_refused(site, bundle, tmp_path):
    value = site.trust(JUDGE)
    value["identities"][0]["issuer"] = "https://elsewhere.example"
    refused(bundle, read_trust(written(tmp_path / "trust.json", value)), "OIDCIssuer does not match")


def test_another_site_is_refused(bundle, tmp_path):
    with sigstore() as another:
        trust = read_trust(written(tmp_path / "trust.json", another.trust(JUDGE)))
    refused(bundle, trust, "failed to build timestamp certificate chain")


@pytest.mark.parametrize("key", ["certificates", "entries"])
def test_what_stands_in_no_log_of_the_site_is_refused(site, bundle, tmp_path, key):
    with sigstore() as another:
        value = site.trust(JUDGE)
        where = {"certificates": "ctlogs", "entries": "tlogs"}[key]
        value["sigstore"]["trustedRoot"][where] = another.config()["trustedRoot"][where]
    refused(bundle, read_trust(written(tmp_path / "trust.json", value)), "SCT|log entry|checkpoint")


def test_a_signature_that_was_logged_when_the_certificate_was_over_is_refused(site, trust, tmp_path):
    site.late = datetime.timedelta(hours=1)
    try:
        late = signed(site, tmp_path)
    finally:
        site.late = datetime.timedelta(0)
    refused(late, trust, "certificate chain|expired")


def test_an_old_attestation_stays_valid(site, bundle, trust, monkeypatch):
    """Its certificate is over by now: when it was signed is what counts."""
    later = time.time() + 30 * 24 * 3600
    monkeypatch.setattr("time.time", lambda: later)
    assert open_envelope(bundle, trust).statement == STATEMENT


def changed(bundle: bytes, change) -> dict:
    value = json.loads(bundle)
    change(value)
    return value


def _another_payload(value):
    payload = base64.b64decode(value["dsseEnvelope"]["payload"]).replace(b'"passed":true', b'"passed":false')
    value["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()


def _another_type(value):
    value["dsseEnvelope"]["payloadType"] = "application/json"


def _no_signature(value):
    value["dsseEnvelope"]["signatures"] = []


def _no_log(value):
    value["verificationMaterial"]["tlogEntries"] = []


def _no_certificate(value):
    value["verificationMaterial"]["certificate"]["rawBytes"] = ""


def _no_material(value):
    del value["verificationMaterial"]


def _nonsense(value):
    value["dsseEnvelope"] = {"payload": 1}


@pytest.mark.parametrize(
    "change",
    [_another_payload, _another_type, _no_signature, _no_log, _no_certificate, _no_material, _nonsense],
    ids=lambda change: change.__name__.strip("_"),
)
def test_what_was_changed_is_refused(bundle, trust, change):
    refused(changed(bundle, change), trust, "not a Sigstore bundle|not signed by an identity|payload type")


@pytest.mark.parametrize("envelope", [{}, {"payload": 1}, {"payload": "not base64"}], ids=str)
def test_a_damaged_bundle_has_no_payload(envelope):
    with pytest.raises((TypeError, ValueError)):
        payload_of(json.dumps({"dsseEnvelope": envelope}).encode())


def test_a_bundle_says_nothing_where_only_keys_are_trusted(bundle, tmp_path):
    trust = read_trust(trust_file(tmp_path)[1])
    refused(bundle, trust, "is signed keyless, and .*trust.pem has keys only")


def test_a_key_says_nothing_where_only_identities_are_trusted(trust, tmp_path):
    refused(make_attestation(FILES, key=trust_file(tmp_path)[0]), trust, "which .*trust.json does not hold")


def test_keys_and_identities_may_both_be_trusted(site, bundle, tmp_path):
    key, pem = trust_file(tmp_path)
    both = read_trust(written(tmp_path / "trust.json", site.trust(JUDGE, keys=pem.read_text())))
    assert open_envelope(bundle, both).key_name.startswith(JUDGE)
    assert open_envelope(make_attestation(FILES, key=key), both).key_name == "a test"


# What cannot be signed.


@pytest.mark.parametrize("about", [{"ends": -60}, {"audience": "somebody"}], ids=str)
def test_a_token_that_does_not_do_is_told_and_not_shown(site, tmp_path, about):
    with pytest.raises(UsageError, match="is malformed, expired, or for another audience; give") as caught:
        signed(site, tmp_path, **about)
    assert token(JUDGE, **about)[:40] not in str(caught.value)


def test_a_token_that_is_not_there_is_told(site, tmp_path):
    with pytest.raises(UsageError, match=r"identity token .*nowhere cannot be read: .*projected volume"):
        sign_keyless(
            STATEMENT, sigstore_in(written(tmp_path / "s.json", site.config())), tmp_path / "nowhere"
        )


def test_what_the_fulcio_refuses_is_told_with_its_words(refusing, tmp_path):
    refusing.refuses = (401, "There was an error processing the identity token")
    with pytest.raises(PlatformError, match=r"401 .*\(There was an error processing the identity") as caught:
        signed(refusing, tmp_path)
    assert token(JUDGE)[:40] not in str(caught.value)


def test_services_that_are_not_there_are_told(site, tmp_path):
    value = json.loads(json.dumps(site.config()).replace(site.url, f"http://127.0.0.1:{closed_port()}"))
    with pytest.raises(
        PlatformError, match=r"cannot be signed: http://127\.0\.0\.1:\d+/api/v2/signingCert cannot be reached"
    ):
        sign_keyless(STATEMENT, sigstore_in(written(tmp_path / "s.json", value)), token_in(tmp_path))


def test_services_that_stay_silent_are_not_waited_for(site, tmp_path, monkeypatch):
    monkeypatch.setattr(keyless, "MOST", 0.5)
    with silent_port(connects=True) as port:
        value = json.loads(json.dumps(site.config()).replace(site.url, f"http://127.0.0.1:{port}"))
        with pytest.raises(PlatformError, match="did not answer within"):
            sign_keyless(STATEMENT, sigstore_in(written(tmp_path / "s.json", value)), token_in(tmp_path))


def _without(*path):
    def change(value):
        for name in path[:-1]:
            value = value[name]
        del value[path[-1]]

    return change


@pytest.mark.parametrize(
    "path",
    [("signingConfig", "caUrls"), ("signingConfig", "rekorTlogUrls"), ("mediaType",), ("trustedRoot",)],
    ids=str,
)
def test_a_configuration_that_lacks_something_is_told(site, tmp_path, path):
    value = site.config()
    _without(*path)(value)
    with pytest.raises(
        UsageError, match=r"the Sigstore configuration .*s\.json: .*; give the site's"
    ) as caught:
        sigstore_in(written(tmp_path / "s.json", value))
    assert "\n" not in str(caught.value)


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
def test_a_trust_file_that_is_none_is_told(site, tmp_path, change, message):
    with pytest.raises(UsageError, match=message) as caught:
        read_trust(written(tmp_path / "trust.json", {**site.trust(JUDGE), **change}))
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "trust.json") in str(caught.value)

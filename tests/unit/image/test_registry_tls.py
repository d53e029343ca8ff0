"""A registry over TLS: which CA is trusted, and that no login goes out in the open."""

import ssl

import pytest
import trustme
from registries import (
    DIGEST,
    NAME,
    TAG,
    Shelf,
    encoded,
    failure,
    reference,
    serving_registry,
)

from ml.core.errors import UsageError
from ml.image.logins import require_certificates
from ml.image.registry import Registry


@pytest.fixture(scope="module")
def ca():
    return trustme.CA()


@pytest.fixture
def pem(ca, tmp_path):
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path / "ca.pem"


@pytest.fixture
def secure(ca):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    with serving_registry(Shelf(), context) as found:
        found.hold(NAME, TAG)
        yield found


def test_a_ca_that_is_named_is_trusted(secure, pem):
    assert Registry(ca=pem).digest(reference(secure)) == DIGEST


def test_tokens_over_tls(secure, pem):
    secure.auth = "bearer"
    logins = {secure.host: encoded()}
    assert Registry(ca=pem, logins=logins).digest(reference(secure)) == DIGEST


def test_another_ca_is_not_trusted_and_the_variables_of_requests_change_nothing(secure, pem, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pem))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(pem))
    text = failure(secure.host, Registry(logins={secure.host: encoded()}))
    assert "certificate" in text
    assert secure.asked == []


@pytest.mark.parametrize(
    "realm", ["http://127.0.0.1:{port}/token", "", "ftp://x", "file:///etc/passwd", "//x"]
)
def test_a_login_goes_nowhere_in_the_open(secure, pem, shelf, realm):
    realm = realm.format(port=shelf.host.rpartition(":")[2])
    secure.auth, secure.challenge = "bearer", f'Bearer realm="{realm}",service="it"'
    text = failure(secure.host, Registry(ca=pem, logins={secure.host: encoded()}))
    assert f"the registry's address for tokens is {realm or 'empty'}, not https://" in text
    assert shelf.asked == []


@pytest.mark.parametrize("realm", ["https://[x", "https://", "https://-.example/"])
def test_a_realm_that_cannot_be(secure, pem, realm):
    secure.auth, secure.challenge = "bearer", f'Bearer realm="{realm}"'
    failure(secure.host, Registry(ca=pem, logins={secure.host: encoded()}))


def test_a_registry_without_tls_is_told_so(shelf):
    failure(shelf.host, Registry(logins={shelf.host: encoded()}))
    assert shelf.asked == []


def test_a_file_without_certificates_is_refused(tmp_path, pem):
    require_certificates(pem)
    (tmp_path / "text").write_text("hello")
    (tmp_path / "empty").write_text("")
    for name in ("text", "empty", "none", "."):
        with pytest.raises(UsageError, match=r"--ca .*: cannot be read; give a file of PEM certificates"):
            require_certificates(tmp_path / name)

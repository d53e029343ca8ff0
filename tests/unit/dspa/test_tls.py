"""Certificates that are trusted and others, servers without TLS, and the proxy in front of the API."""

import datetime

import pytest
import trustme
from dspa_proxy import Proxy, http_answer, proxying, raw_server
from dspa_server import Dspa, serving
from dspa_server.faults import LOGIN_PAGE
from servers import closed_port

from ml.core.errors import PlatformError
from ml.dspa.client import Client
from ml.dspa.connection import Connection
from ml.dspa.failures import Refused, Unavailable, Untrusted
from ml.dspa.timeouts import Timeouts

TOKEN = "sha256~VeryS3cretT0ken"
QUICK = Timeouts(request=3, connect=2, read=2)
PAST = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def ca():
    return trustme.CA()


@pytest.fixture(scope="module")
def pem(ca, tmp_path_factory):
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture
def dspa(ca):
    with serving(Dspa(tokens={TOKEN}), ca=ca) as found:
        yield found


def client(url, ca=None):
    return Client(Connection(host=url, token_value=TOKEN, ca=ca, namespace="music"), QUICK)


def failure(url, kind=PlatformError, ca=None) -> str:
    """Check that contact fails in one line without the token, and return the line."""
    with pytest.raises(kind) as caught:
        client(url, ca).health()
    text = str(caught.value)
    assert text.isprintable()
    assert TOKEN not in text
    return text


def test_a_private_ca_that_is_named_is_trusted(dspa, pem):
    assert client(dspa.url, pem).health()[0].tag_name == dspa.version.tag_name
    by_address = dspa.url.replace("localhost", "127.0.0.1")
    assert client(by_address, pem).health()[0].tag_name == dspa.version.tag_name


def test_a_private_ca_that_is_not_named_is_not(dspa):
    line = failure(dspa.url, Untrusted)
    assert "--ca FILE" in line
    assert "this machine's CAs" in line
    assert dspa.requests == []


def test_another_ca_is_not_trusted(dspa, tmp_path):
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    assert str(tmp_path / "other.pem") in failure(dspa.url, Untrusted, tmp_path / "other.pem")
    assert dspa.requests == []


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_variable_does_not_widen_the_trust(dspa, pem, monkeypatch, variable):
    monkeypatch.setenv(variable, str(pem))
    failure(dspa.url, Untrusted)
    assert dspa.requests == []


def test_a_certificate_for_another_host(ca, pem):
    with proxying(Proxy("http://127.0.0.1:9"), ca.issue_cert("other.example.com")) as proxy:
        line = failure(proxy.url, Untrusted, pem)
        assert "127.0.0.1" in line
        assert proxy.seen == []


def test_a_certificate_that_has_expired(ca, pem):
    certificate = ca.issue_cert("127.0.0.1", not_before=PAST, not_after=PAST + datetime.timedelta(days=1))
    with proxying(Proxy("http://127.0.0.1:9"), certificate) as proxy:
        assert "expired" in failure(proxy.url, Untrusted, pem)
        assert proxy.seen == []


@pytest.mark.parametrize("fault", ["expired", "misnamed"])
def test_what_a_ca_does_not_mend_is_not_answered_with_a_ca(ca, pem, fault):
    dates = {"not_before": PAST, "not_after": PAST + datetime.timedelta(days=1)} if fault == "expired" else {}
    certificate = ca.issue_cert("127.0.0.1" if dates else "other.example.com", **dates)
    with proxying(Proxy("http://127.0.0.1:9"), certificate) as proxy:
        assert "give the cluster's CA" not in failure(proxy.url, Untrusted, pem)


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n"]
)
def test_a_ca_file_without_certificates(dspa, tmp_path, content):
    (tmp_path / "ca.pem").write_bytes(content)
    failure(dspa.url, PlatformError, tmp_path / "ca.pem")
    assert dspa.requests == []


def test_a_ca_file_that_has_gone(dspa, tmp_path):
    assert "none.pem" in failure(dspa.url, PlatformError, tmp_path / "none.pem")
    assert dspa.requests == []


def test_a_server_without_tls_on_the_port():
    with raw_server(http_answer(b"{}")) as wire:
        line = failure(wire.url.replace("http", "https"), Unavailable)
        assert "TLS" in line
        assert TOKEN.encode() not in b"".join(wire.asked)


def test_a_server_with_tls_where_none_was_expected(ca):
    with proxying(Proxy("http://127.0.0.1:9"), ca.issue_cert("127.0.0.1")) as proxy:
        failure(proxy.url.replace("https", "http"), Unavailable)
        assert proxy.seen == []


def test_a_server_that_leaves_in_the_handshake():
    with raw_server(b"") as wire:
        failure(wire.url.replace("http", "https"), Unavailable)


def refusals():
    page = (200, {"Content-Type": "text/html; charset=utf-8"}, LOGIN_PAGE.encode())
    plain = {"Content-Type": "text/plain; charset=utf-8"}
    return {
        "unauthorized": (401, {**plain, "WWW-Authenticate": "Bearer"}, b"Unauthorized\n"),
        "forbidden": (403, plain, b"Forbidden (user=system:anonymous)\n"),
        "login page": page,
        "login redirect": (302, {"Location": "https://oauth.example.com/authorize?x=1"}, b""),
    }


@pytest.mark.parametrize("refusal", refusals())
def test_a_proxy_that_refuses_and_then_lets_through(ca, pem, refusal):
    answers = [refusals()[refusal]]
    with (
        serving(Dspa(tokens={TOKEN})) as dspa,
        proxying(
            Proxy(dspa.url, lambda *_: answers.pop() if answers else None), ca.issue_cert("127.0.0.1")
        ) as proxy,
    ):
        asker = client(proxy.url, pem)
        with pytest.raises(Refused) as caught:
            asker.health()
        told = ("redirected to oauth.example.com", "namespace music", "the token is not accepted")
        assert any(words in str(caught.value) for words in told)
        assert dspa.requests == []
        assert asker.health()[0].tag_name == dspa.version.tag_name
        assert asker.create_experiment("one").display_name == "one"
        assert [experiment.display_name for experiment in asker.experiments("one")] == ["one"]
        assert {request.headers["Authorization"] for request in dspa.requests} == {f"Bearer {TOKEN}"}
    assert len(proxy.seen) == 4


def test_a_proxy_whose_server_is_down(ca, pem):
    with proxying(Proxy(f"http://127.0.0.1:{closed_port()}"), ca.issue_cert("127.0.0.1")) as proxy:
        failure(proxy.url, Unavailable, pem)
    bad_gateway = (502, {"Content-Type": "text/html"}, b"<html><body>502 Bad Gateway</body></html>")
    with proxying(Proxy("http://127.0.0.1:9", lambda *_: bad_gateway), ca.issue_cert("127.0.0.1")) as proxy:
        assert failure(proxy.url, Unavailable, pem).endswith("HTTP 502")

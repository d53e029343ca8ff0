"""Certificates that are trusted and others, servers without TLS, and the proxy in front of the API."""

import datetime

import pytest
import trustme
from dspa_command import TOKEN
from dspa_proxy import Proxy, http_answer, proxying, raw_server
from dspa_server import Dspa, serving
from dspa_server.faults import LOGIN_PAGE
from servers import closed_port

from ml.core.errors import PlatformError
from ml.dspa.client import Client
from ml.dspa.connection import Connection
from ml.dspa.failures import Refused, Unavailable, Untrusted
from ml.dspa.timeouts import Timeouts

QUICK = Timeouts(request=3, connect=2, read=2)
PAST = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
EXPIRED = {"not_before": PAST, "not_after": PAST + datetime.timedelta(days=1)}


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
    with serving(Dspa(tokens={TOKEN}), ca=ca) as served:
        yield served


def client(url, ca=None):
    return Client(Connection(host=url, token_value=TOKEN, ca=ca, namespace="music"), QUICK)


def failure(url, kind=PlatformError, ca=None) -> str:
    """Check that the first contact fails in one line without the token, and return the line."""
    with pytest.raises(kind) as caught:
        client(url, ca).health()
    assert (str(caught.value).isprintable(), TOKEN in str(caught.value)) == (True, False)
    return str(caught.value)


def test_a_private_ca_is_trusted_if_it_is_named(dspa, pem):
    for url in (dspa.url, dspa.url.replace("localhost", "127.0.0.1")):
        assert client(url, pem).health()[0].tag_name == dspa.version.tag_name


def test_a_ca_that_is_not_named_is_not_trusted_whatever_the_environment_says(
    dspa, pem, tmp_path, monkeypatch
):
    line = failure(dspa.url, Untrusted)
    assert "--ca FILE" in line
    assert "this machine's CAs" in line
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(variable, str(pem))
        failure(dspa.url, Untrusted)
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    assert str(tmp_path / "other.pem") in failure(dspa.url, Untrusted, tmp_path / "other.pem")
    assert dspa.requests == []


@pytest.mark.parametrize(
    ("name", "dates", "said"), [("other.example.com", {}, "127.0.0.1"), ("127.0.0.1", EXPIRED, "expired")]
)
def test_a_certificate_that_is_expired_or_for_another_host(ca, pem, name, dates, said):
    with proxying(Proxy("http://127.0.0.1:9"), ca.issue_cert(name, **dates)) as proxy:
        line = failure(proxy.url, Untrusted, pem)
        assert (said in line, "give the cluster's CA" in line, proxy.seen) == (True, False, [])


@pytest.mark.parametrize(
    "content", [None, "", "garbage", "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n"]
)
def test_a_ca_file_that_is_missing_or_without_certificates(dspa, tmp_path, content):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    line = failure(dspa.url, PlatformError, path)
    assert content is not None or "ca.pem" in line
    assert dspa.requests == []


def test_a_server_without_tls_or_that_leaves_in_the_handshake():
    with raw_server(http_answer(b"{}")) as wire:
        assert "TLS" in failure(wire.url.replace("http", "https"), Unavailable)
        assert TOKEN.encode() not in b"".join(wire.asked)
    with raw_server(b"") as wire:
        failure(wire.url.replace("http", "https"), Unavailable)


def test_a_server_with_tls_where_none_was_expected(ca):
    with proxying(Proxy("http://127.0.0.1:9"), ca.issue_cert("127.0.0.1")) as proxy:
        failure(proxy.url.replace("https", "http"), Unavailable)
        assert proxy.seen == []


PLAIN = {"Content-Type": "text/plain; charset=utf-8"}
REFUSALS = {
    "unauthorized": (
        401,
        {**PLAIN, "WWW-Authenticate": "Bearer"},
        b"Unauthorized\n",
        "token is not accepted",
    ),
    "forbidden": (403, PLAIN, b"Forbidden (user=system:anonymous)\n", "namespace music"),
    "login page": (200, {"Content-Type": "text/html; charset=utf-8"}, LOGIN_PAGE.encode(), "namespace music"),
    "redirect": (302, {"Location": "https://oauth.example.com/a"}, b"", "redirected to oauth.example.com"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_proxy_that_refuses_and_then_lets_through(ca, pem, refusal):
    *answer, said = REFUSALS[refusal]
    answers = [tuple(answer)]
    proxy = Proxy("", lambda *_: answers.pop() if answers else None)
    with serving(Dspa(tokens={TOKEN})) as dspa, proxying(proxy, ca.issue_cert("127.0.0.1")):
        proxy.target = dspa.url
        asker = client(proxy.url, pem)
        with pytest.raises(Refused, match=said):
            asker.health()
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

"""The digest of a tag: what is sent to a registry, what counts as absent, and what is an error."""

import ssl

import pytest
import requests
import trustme
from registries import DIGEST, NAME, TAG, TOKEN, digest_at, encoded, failure, query_of, serving_registry
from servers import closed_port, silent_port

import ml.image.registry
from ml.image.registry import Registry


def test_a_digest_is_that_of_the_tag_and_none_without_an_image(double):
    assert digest_at(double.host, logins={}) is None
    assert double.paths == [f"{verb} /v2/{NAME}/manifests/{TAG}" for verb in ("HEAD", "GET")]
    double.hold(NAME, TAG)
    assert digest_at(double.host, logins={}) == DIGEST
    assert double.paths[2:] == double.paths[:1]
    assert "application/vnd.oci.image.index.v1+json" in double.asked[2][1]["accept"]
    assert "authorization" not in double.asked[2][1]
    assert encoded() not in repr(Registry(logins={double.host: encoded()}))


@pytest.mark.parametrize("body", [b"<html>", b"", b"[]", b"{}", b'{"errors": []}', b'"errors"', b"\xff"])
def test_a_404_of_another_server_is_not_absence(double, body):
    double.faults = {"": (404, {}, body)}
    assert "404, and not from a registry" in failure(double.host)


@pytest.mark.parametrize("status", [204, 301, 302, 307, 400, 401, 403, 429, 500, 503])
def test_every_other_answer_is_an_error_and_no_redirect_is_followed(double, status):
    double.faults = {"": (status, {"Location": "/elsewhere"}, b"no")}
    assert f"the registry answers {status}" in failure(double.host)
    assert len(double.asked) == 1


@pytest.mark.parametrize("digest", ["", "sha256:12", "md5:1", f"sha512:{'a' * 128}", f"{DIGEST}0", "<html>"])
def test_an_answer_without_a_digest_is_an_error(double, digest):
    double.hold(NAME, TAG, digest)
    assert "the registry's answer has no digest" in failure(double.host)


def test_the_login_with_the_longest_path_is_sent_and_none_of_netrc(double, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert requests.utils.get_netrc_auth(double.url) == ("someone", "else")
    logins = {f"{double.host}{path}": encoded(f":{path}") for path in ("", "/team", "/team/jukebox", "/tea")}
    for path in ("/team/jukebox", "/team", "", None):
        digest_at(double.host, logins=logins)
        expected = None if path is None else f"Basic {encoded(f':{path}')}"
        assert double.asked[-1][1].get("authorization") == expected
        logins.pop(f"{double.host}{path}", None)


@pytest.mark.parametrize("exists", [True, False])
def test_a_token_is_requested_once_with_login_service_and_scope(double, exists):
    double.locked = True
    if exists:
        double.hold(NAME, TAG)
    assert digest_at(double.host) == (DIGEST if exists else None)
    asked, headers = double.asked[1]
    assert asked.startswith("GET /token?")
    assert query_of(asked) == {"service": ["it"], "scope": [f"repository:{NAME}:pull"]}
    assert headers["authorization"] == f"Basic {encoded()}"
    assert {headers["authorization"] for _, headers in double.asked[2:]} == {f"Bearer {TOKEN}"}


CHALLENGES = [
    'bearer realm="{realm}"',
    'BEARER Realm="{realm}",service="it"',
    'Basic realm="other", Bearer realm="{realm}",service="it"',
    'Bearer realm="{realm}",service="it", Basic realm="other"',
]


@pytest.mark.parametrize("challenge", CHALLENGES)
def test_the_forms_of_a_challenge_and_an_anonymous_token(double, challenge):
    double.locked, double.challenge, double.anonymous = True, challenge, True
    double.token = (200, {"access_token": TOKEN, "token": ""})
    double.hold(NAME, TAG)
    assert digest_at(double.host, logins={}) == DIGEST
    assert "authorization" not in double.asked[1][1]


NO_TOKENS = [(200, answer) for answer in (b"<html>", b"[]", b'"x"', {})]
NO_TOKENS += [(200, {"token": token}) for token in (None, 7, ["a"], f"{TOKEN}\nX-Header: a", f"{TOKEN} é")]
NO_TOKENS += [(403, {"token": TOKEN}), (500, b"no"), (302, b"")]


@pytest.mark.parametrize(("status", "answer"), NO_TOKENS)
def test_an_answer_without_a_token_is_an_error(double, status, answer):
    double.locked, double.token = True, (status, answer)
    assert f"no token from 127.0.0.1 ({status})" in failure(double.host)


def test_a_token_that_is_refused_is_not_requested_again(double):
    double.locked, double.token = True, (200, {"token": "another"})
    assert "the registry answers 401" in failure(double.host)
    assert len(double.asked) == 3


def test_a_host_that_does_not_exist_is_an_error():
    for host in ("registry.invalid", "-.example", "a..b", f"{'x' * 70}.e", "127.0.0.1:99999"):
        failure(host)


def test_a_registry_that_is_down_or_silent_is_an_error(monkeypatch):
    assert "Connection refused" in failure(f"127.0.0.1:{closed_port()}")
    monkeypatch.setattr(ml.image.registry, "TIMEOUT", (0.3, 0.3))
    for connects in (True, False):
        with silent_port(connects=connects) as port:
            assert "timed out" in failure(f"127.0.0.1:{port}")


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
    with serving_registry(context) as double:
        double.locked = True
        double.hold(NAME, TAG)
        yield double


def test_only_a_named_ca_is_trusted_for_registry_and_tokens(secure, pem, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pem))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(pem))
    assert "certificate" in failure(secure.host, insecure=False)
    assert secure.asked == []
    assert digest_at(secure.host, insecure=False, ca=pem) == DIGEST


REALMS = ["http://{host}/token", "", "ftp://x", "file:///etc/passwd", "//x", "https://[x", "https://-.a/"]


@pytest.mark.parametrize("realm", REALMS)
def test_a_login_is_not_sent_in_the_clear(secure, pem, double, realm):
    secure.challenge = f'Bearer realm="{realm.format(host=double.host)}",service="it"'
    line = failure(secure.host, insecure=False, ca=pem)
    assert ("the registry's address for tokens is " in line) is not realm.startswith("https://")
    failure(double.host, insecure=False)
    assert double.asked == []

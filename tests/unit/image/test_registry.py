"""The digest of a tag: what is sent to a registry, what counts as absent, and what is an error."""

import pytest
import requests
import trustme
from registries import CHALLENGE, DIGEST, TOKEN, assert_no_secret, encoded, serving_registry
from servers import closed_port, silent_port, tls

import ml.image.registry
from ml.core.errors import PlatformError
from ml.image.registry import Registry

IMAGE, PATH = "team/jukebox/build:1a2b", "/v2/team/jukebox/build/manifests/1a2b"


def digest_at(host: str, **settings) -> str | None:
    """Look the image up, with a login over plain HTTP but for the settings."""
    return Registry(**{"insecure": True, "logins": {host: encoded()}, **settings}).digest(f"{host}/{IMAGE}")


def failure(host: str, **settings) -> str:
    """Check that a look-up fails in one line that names the image and no password, and return the line."""
    with pytest.raises(PlatformError, match=f"^cannot look up {host}/{IMAGE}: ") as caught:
        digest_at(host, **settings)
    assert str(caught.value).isprintable()
    assert_no_secret(str(caught.value))
    return str(caught.value)


def test_a_digest_is_that_of_the_tag_and_none_without_an_image(double):
    assert digest_at(double.host, logins={}) is None
    double.hold(IMAGE)
    assert digest_at(double.host, logins={}) == DIGEST
    assert double.asked == [f"{verb} {PATH}" for verb in ("HEAD", "GET", "HEAD")]
    assert "application/vnd.oci.image.index.v1+json" in double.headers[2]["accept"]
    assert "authorization" not in double.headers[2]
    assert encoded() not in repr(Registry(logins={double.host: encoded()}))


ANSWERS = [((status, {"Location": "/x"}, b"no"), f"answers {status}") for status in (204, 302, 401, 503)]
for body in (b"<html>", b"[]", b'{"errors": []}', b"\xff"):
    ANSWERS.append(((404, {}, body), "404, and not from a registry"))
for wrong in ("", "sha256:12", f"sha512:{'a' * 128}", f"{DIGEST}0"):
    ANSWERS.append(((200, {"Docker-Content-Digest": wrong}, b""), "the registry's answer has no digest"))


@pytest.mark.parametrize(("answer", "said"), ANSWERS)
def test_every_other_answer_is_an_error_and_no_redirect_is_followed(double, answer, said):
    double.faults = {"": answer}
    assert said in failure(double.host)
    assert len(double.asked) == 1 + (answer[0] == 404)


def test_the_login_with_the_longest_path_is_sent_and_none_of_netrc(double, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert requests.utils.get_netrc_auth(f"http://{double.host}") == ("someone", "else")
    logins = {f"{double.host}{path}": encoded(f":{path}") for path in ("", "/team", "/team/jukebox", "/tea")}
    for path in ("/team/jukebox", "/team", "", None):
        digest_at(double.host, logins=logins)
        expected = None if path is None else f"Basic {encoded(f':{path}')}"
        assert double.headers[-1].get("authorization") == expected
        logins.pop(f"{double.host}{path}", None)


def test_a_token_is_requested_once_with_login_service_and_scopes(double):
    double.challenge = CHALLENGE
    assert digest_at(double.host) is None
    scopes = "scope=repository%3Aa%3Apull%2Cpush&scope=repository%3Ab%3Apull"
    assert double.asked[1] == f"GET /token?service=it&{scopes}"
    sent = [headers["authorization"] for headers in double.headers]
    assert sent == [double.login, double.login, f"Bearer {TOKEN}", f"Bearer {TOKEN}"]


@pytest.mark.parametrize("challenge", ['bearer realm="{}"', 'Basic x="y", BEARER Realm="{}", Basic x="y"'])
def test_the_forms_of_a_challenge_and_an_anonymous_token(double, challenge):
    double.challenge, double.login = challenge, None
    double.token = (200, {"access_token": TOKEN, "token": ""})
    double.hold(IMAGE)
    assert digest_at(double.host, logins={}) == DIGEST


TOKENS = [(200, answer) for answer in (b"<html>", b"[]", {}, {"token": 7}, {"token": f"{TOKEN}\nX: a"})]


@pytest.mark.parametrize("token", [*TOKENS, (403, {"token": TOKEN}), (302, b""), (200, {"token": "another"})])
def test_an_answer_without_a_token_and_a_token_that_is_refused_are_errors(double, token):
    double.challenge = CHALLENGE
    double.token, refused = token, token[1] == {"token": "another"}
    expected = "the registry answers 401" if refused else f"no token from 127.0.0.1 ({token[0]})"
    assert expected in failure(double.host)
    assert len(double.asked) == 2 + refused


def test_a_registry_that_is_nowhere_down_or_silent_is_an_error(monkeypatch):
    for host in ("registry.invalid", "a..b", f"{'x' * 70}.e", "127.0.0.1:99999"):
        failure(host)
    assert "Connection refused" in failure(f"127.0.0.1:{closed_port()}")
    monkeypatch.setattr(ml.image.registry, "TIMEOUT", (0.3, 0.3))
    for connects in (True, False):
        with silent_port(connects=connects) as port:
            assert "timed out" in failure(f"127.0.0.1:{port}")


def test_only_a_named_ca_is_trusted_and_no_login_is_sent_in_the_clear(double, tmp_path, monkeypatch):
    ca, pem = trustme.CA(), tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(pem))
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(pem))
    with serving_registry(tls(ca.issue_cert("127.0.0.1"))) as secure:
        assert "certificate" in failure(secure.host, insecure=False)
        assert secure.asked == []
        secure.challenge = f'Bearer realm="https://{secure.host}/token"'
        secure.hold(IMAGE)
        assert digest_at(secure.host, insecure=False, ca=pem) == DIGEST
        for realm in (f"http://{double.host}/token", "", "file:///etc/passwd", "//x", "https://[x"):
            secure.challenge = f'Bearer realm="{realm}"'
            line = failure(secure.host, insecure=False, ca=pem)
            assert ("the registry's address for tokens is " in line) is not realm.startswith("https://")
    failure(double.host, insecure=False)
    assert double.asked == []

"""What a registry is asked, what counts as absent, and what is an error."""

import socket
import threading

import pytest
import requests
from registries import (
    DIGEST,
    NAME,
    TAG,
    TOKEN,
    ask,
    encoded,
    failure,
    query_of,
)
from servers import closed_port, silent_port

import ml.image.registry
from ml.image.registry import Registry


def test_what_is_there_has_its_digest(shelf):
    shelf.hold(NAME, TAG)
    assert ask(shelf) == DIGEST
    ((what, headers),) = shelf.asked
    assert what == f"HEAD /v2/{NAME}/manifests/{TAG}"
    assert "application/vnd.oci.image.index.v1+json" in headers["accept"]
    assert "authorization" not in headers


def test_what_is_not_there_is_none(shelf):
    assert ask(shelf) is None
    assert shelf.paths == [f"{verb} /v2/{NAME}/manifests/{TAG}" for verb in ("HEAD", "GET")]


@pytest.mark.parametrize(
    "body",
    [b"<html>Not Found</html>", b"", b"[]", b"{}", b'{"errors": []}', b'"errors"', b"\xff", b"404 page"],
)
def test_a_404_of_somebody_else_is_not_absence(shelf, body):
    shelf.status, shelf.body, shelf.answers = 404, body, 0
    assert "404, and not from a registry" in failure(shelf.host, Registry(insecure=True))


def test_a_basic_login_is_sent_and_only_to_its_registry(shelf):
    shelf.auth = "basic"
    shelf.hold(NAME, TAG)
    assert ask(shelf, {shelf.host: encoded()}) == DIGEST
    for logins in ({}, {"registry.example": encoded()}, {shelf.host: encoded("robot:other")}):
        text = failure(shelf.host, Registry(insecure=True, logins=logins))
        assert "the registry answers 401" in text
    assert [headers.get("authorization") for _, headers in shelf.asked[1:]] == [
        None,
        None,
        f"Basic {encoded('robot:other')}",
    ]


@pytest.mark.parametrize("there", [True, False])
def test_a_token_is_asked_for_with_the_login_service_and_scope(shelf, there):
    shelf.auth = "bearer"
    if there:
        shelf.hold(NAME, TAG)
    assert ask(shelf, {shelf.host: encoded()}) == (DIGEST if there else None)
    what, headers = shelf.asked[1]
    assert what.startswith("GET /token?")
    assert query_of(what) == {"service": ["it"], "scope": [f"repository:{NAME}:pull"]}
    assert headers["authorization"] == f"Basic {encoded()}"
    assert {headers["authorization"] for _, headers in shelf.asked[2:]} == {f"Bearer {TOKEN}"}


def test_a_token_is_given_to_nobody_in_particular_too(shelf):
    shelf.auth, shelf.anonymous = "bearer", True
    shelf.hold(NAME, TAG)
    assert ask(shelf) == DIGEST
    assert "authorization" not in shelf.asked[1][1]


@pytest.mark.parametrize(
    "challenge",
    [
        'bearer realm="{realm}"',
        'BEARER Realm="{realm}",service="it"',
        'Basic realm="other", Bearer realm="{realm}",service="it"',
        'Bearer realm="{realm}",service="it", Basic realm="other"',
    ],
)
def test_the_forms_of_a_challenge(shelf, challenge):
    shelf.auth, shelf.challenge = "bearer", challenge
    shelf.hold(NAME, TAG)
    assert ask(shelf, {shelf.host: encoded()}) == DIGEST


def test_an_access_token_is_a_token(shelf):
    shelf.auth, shelf.token = "bearer", {"access_token": TOKEN, "token": ""}
    shelf.hold(NAME, TAG)
    assert ask(shelf, {shelf.host: encoded()}) == DIGEST


@pytest.mark.parametrize(
    ("status", "token"),
    [
        (200, b"<html>sign in</html>"),
        (200, b"[]"),
        (200, b'"x"'),
        (200, {}),
        (200, {"token": None}),
        (200, {"token": 7}),
        (200, {"token": ["a"]}),
        (200, {"token": f"{TOKEN}\nX-Header: a"}),
        (200, {"token": f"{TOKEN} é"}),
        (403, {"token": TOKEN}),
        (500, b"no"),
        (302, b""),
    ],
)
def test_what_is_no_token(shelf, status, token):
    shelf.auth, shelf.token_status, shelf.token = "bearer", status, token
    shelf.hold(NAME, TAG)
    text = failure(shelf.host, Registry(insecure=True, logins={shelf.host: encoded()}))
    assert f"no token from 127.0.0.1 ({status})" in text


def test_a_token_without_the_right_is_refused(shelf):
    shelf.auth, shelf.token = "bearer", {"token": "another"}
    assert "the registry answers 401" in failure(
        shelf.host, Registry(insecure=True, logins={shelf.host: encoded()})
    )
    assert len(shelf.asked) == 3


@pytest.mark.parametrize("status", [204, 301, 302, 307, 400, 401, 403, 429, 500, 502, 503])
def test_every_other_answer_is_an_error(shelf, status):
    shelf.status, shelf.answers = status, 0
    shelf.headers = {"Location": "/elsewhere"} if status in (301, 302, 307) else {}
    assert f"the registry answers {status}" in failure(
        shelf.host, Registry(insecure=True, logins={shelf.host: encoded()})
    )
    assert len(shelf.asked) == 1


@pytest.mark.parametrize("digest", ["", "sha256:12", "md5:1", f"sha512:{'a' * 128}", f"{DIGEST}0", "<html>"])
def test_an_answer_without_a_digest_is_an_error(shelf, digest):
    shelf.hold(NAME, TAG, digest)
    assert "the registry's answer has no digest" in failure(shelf.host, Registry(insecure=True))


def test_a_login_page_is_no_image(shelf):
    shelf.status, shelf.answers, shelf.body = 200, 0, b"<html>sign in</html>"
    assert "the registry's answer has no digest" in failure(shelf.host, Registry(insecure=True))


def test_nothing_listens():
    assert "Connection refused" in failure(f"127.0.0.1:{closed_port()}", Registry(insecure=True))


def test_a_name_that_does_not_resolve():
    failure("registry.invalid", Registry())


@pytest.mark.parametrize("host", ["-.example", "a..b", "x" * 70 + ".example", "127.0.0.1:99999"])
def test_a_name_that_cannot_be(host):
    failure(host, Registry(insecure=True))


@pytest.mark.parametrize("connects", [True, False])
def test_nothing_answers(monkeypatch, connects):
    monkeypatch.setattr(ml.image.registry, "TIMEOUT", (0.3, 0.3))
    with silent_port(connects=connects) as port:
        assert "timed out" in failure(f"127.0.0.1:{port}", Registry(insecure=True))


def test_half_an_answer():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 O")

        thread = threading.Thread(target=answer)
        thread.start()
        failure(f"127.0.0.1:{server.getsockname()[1]}", Registry(insecure=True))
        thread.join()


def test_no_other_login_than_ours_is_sent(shelf, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    shelf.hold(NAME, TAG)
    assert requests.utils.get_netrc_auth(f"http://{shelf.host}/") == ("someone", "else")
    assert ask(shelf) == DIGEST
    assert "authorization" not in shelf.asked[0][1]

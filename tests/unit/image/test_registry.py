"""What a registry is asked, what counts as absent, and where logins go and do not go."""

import base64
import contextlib
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest
import requests
import trustme
from registries import DIGEST, LOGIN, TOKEN, Shelf, encoded, query_of, serving_registry
from servers import closed_port, silent_port

import ml.image.registry
from ml.errors import PlatformError, UsageError
from ml.image.registry import Registry, read_logins, require_certificates

NAME, TAG = "team/jukebox/build", "1a2b"
PASSWORD = LOGIN.partition(":")[2]


@pytest.fixture
def shelf():
    with serving_registry(Shelf()) as found:
        yield found


def reference(shelf) -> str:
    return f"{shelf.host}/{NAME}:{TAG}"


def ask(shelf, logins=(), **settings) -> str | None:
    return Registry(insecure=True, logins=dict(logins), **settings).digest(reference(shelf))


def failure(host: str, registry: Registry) -> str:
    """Check that asking fails in one line that names the image and no password, and return the line."""
    with pytest.raises(PlatformError) as caught:
        registry.digest(f"{host}/{NAME}:{TAG}")
    text = str(caught.value)
    assert text.startswith(f"cannot ask for {host}/{NAME}:{TAG}: ")
    assert text.isprintable()
    for secret in (PASSWORD, TOKEN, encoded()):
        assert secret not in text
        assert secret not in repr(registry)
    return text


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
    assert "the registry names no digest" in failure(shelf.host, Registry(insecure=True))


def test_a_login_page_is_no_image(shelf):
    shelf.status, shelf.answers, shelf.body = 200, 0, b"<html>sign in</html>"
    assert "the registry names no digest" in failure(shelf.host, Registry(insecure=True))


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


# TLS.


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
    assert f"the registry sends us to {realm or 'nowhere'}" in text
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
        with pytest.raises(UsageError, match=r"--ca .*: cannot be read; it is a file of PEM certificates"):
            require_certificates(tmp_path / name)


# Logins.


def logins(tmp_path, text) -> dict[str, str]:
    path = tmp_path / "config.json"
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    return read_logins(path)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("registry.example", "registry.example"),
        ("registry.example:5000", "registry.example:5000"),
        ("https://registry.example", "registry.example"),
        ("https://registry.example/v1/", "registry.example"),
        ("https://registry.example:5000/v2/", "registry.example:5000"),
        ("http://registry.example/", "registry.example"),
        ("quay.example/team", "quay.example/team"),
    ],
)
def test_the_names_of_registries(tmp_path, name, place):
    assert logins(tmp_path, {"auths": {name: {"auth": encoded()}}}) == {place: encoded()}


@pytest.mark.parametrize(
    "entry",
    [
        {"auth": encoded()},
        {"username": "robot", "password": PASSWORD},
        {"auth": "", "username": "robot", "password": PASSWORD},
        {"auth": encoded(), "username": "someone", "password": "else", "email": "a@example.org"},
    ],
)
def test_the_forms_of_a_login(tmp_path, entry):
    assert logins(tmp_path, {"auths": {"r.example": entry}, "other": 1}) == {"r.example": encoded()}


def test_a_password_beyond_ascii_is_fit_for_a_header(tmp_path, shelf):
    found = logins(tmp_path, {"auths": {shelf.host: {"username": "é", "password": "pass:wörd"}}})
    assert base64.b64decode(found[shelf.host]).decode() == "é:pass:wörd"
    shelf.hold(NAME, TAG)
    assert ask(shelf, found) == DIGEST


@pytest.mark.parametrize("text", [{}, {"auths": {}}, {"auths": {"r.example": {}}, "credsStore": "x"}])
def test_a_file_without_logins_has_none(tmp_path, text):
    assert logins(tmp_path, text) == {}


def test_without_a_file_there_are_none(tmp_path):
    assert read_logins(None) == {}
    assert read_logins(tmp_path / "none") == {}
    assert read_logins(tmp_path) == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "canary",
        "[]",
        '"canary"',
        "[" * 100_000,
        {"auths": []},
        {"auths": "canary"},
        {"auths": {"r.example": "canary"}},
        {"auths": {"r.example": {"auth": "canary!"}}},
        {"auths": {"r.example": {"auth": encoded("canary")}}},
        {"auths": {"r.example": {"auth": 7}}},
        {"auths": {"r.example": {"auth": encoded() + "\n"}}},
        {"auths": {"r.example": {"username": "canary"}}},
        {"auths": {"r.example": {"identitytoken": "canary"}}},
    ],
)
def test_what_is_no_configuration_is_refused_and_not_quoted(tmp_path, text):
    with pytest.raises(UsageError, match=r"config\.json: not a Docker configuration with logins") as caught:
        logins(tmp_path, text)
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_login_for_most_of_the_name_is_taken(shelf):
    shelf.hold(NAME, TAG)
    known = {f"{shelf.host}/{place}": encoded(f"of:{place}") for place in ("team", "team/jukebox", "tea")}
    for without, expected in (("", "team/jukebox"), ("team/jukebox", "team"), ("team", "")):
        known.pop(f"{shelf.host}/{without}", None)
        ask(shelf, {**known, shelf.host: encoded("of:")})
        assert shelf.asked[-1][1]["authorization"] == f"Basic {encoded(f'of:{expected}')}"


# The real thing.


@pytest.fixture
def real(tmp_path):
    if not shutil.which("docker-registry"):
        pytest.skip("no docker-registry; install it: apt-get install docker-registry")
    host = f"127.0.0.1:{closed_port()}"
    (tmp_path / "config.yml").write_text(
        f"version: 0.1\nlog: {{level: error}}\nhttp: {{addr: '{host}'}}\n"
        f"storage: {{filesystem: {{rootdirectory: {tmp_path / 'images'}}}}}\n"
    )
    command = ["docker-registry", "serve", str(tmp_path / "config.yml")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with contextlib.suppress(requests.ConnectionError):
                requests.get(f"http://{host}/v2/", timeout=5)
                break
            time.sleep(0.1)
        yield host
    finally:
        process.terminate()
        process.wait()


def test_a_real_registry(real):
    registry = Registry(insecure=True)
    assert registry.digest(f"{real}/{NAME}:{TAG}") is None
    kind = "application/vnd.oci.image.index.v1+json"
    manifest = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": []})
    url = f"http://{real}/v2/{NAME}/manifests/{TAG}"
    put = requests.put(url, data=manifest, headers={"Content-Type": kind}, timeout=5)
    assert put.status_code == 201, put.text
    assert registry.digest(f"{real}/{NAME}:{TAG}") == put.headers["Docker-Content-Digest"]
    assert registry.digest(f"{real}/{NAME}:other") is None

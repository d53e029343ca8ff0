"""Pushing to and reading from a registry that does not do as asked, and where a login goes."""

import json
import re
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

import pytest
from registries import LOGIN, PASSWORD, TOKEN, encoded, query_of
from servers import http_server

from ml.core.canonical import digest
from ml.core.errors import PlatformError
from ml.image.registry import Registry
from ml.image.repository import Repository

DATA = b"a layer" * 1000
BLOB = digest(DATA)
MANIFEST = json.dumps({"mediaType": "application/vnd.oci.image.manifest.v1+json"}).encode()


@dataclass
class Store:
    """A registry in memory: what it holds by path, what it was asked, and what it answers instead."""

    held: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    instead: dict[str, int] = field(default_factory=dict)  # by pattern of "METHOD path", a status
    location: str = "/v2/team/component/blobs/uploads/1?state=x"
    mounts: bool = False
    locked: bool = False
    host: str = ""

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes):
        for pattern, status in self.instead.items():
            if re.match(pattern, f"{method} {path}"):
                return status, {}, b""
        if path.startswith("/token"):
            return 200, {}, json.dumps({"token": TOKEN}).encode()
        if self.locked and headers.get("authorization") != f"Bearer {TOKEN}":
            scope = "repository:team/component:pull,push repository:team/below:pull"
            challenge = f'Bearer realm="http://{self.host}/token",service="it",scope="{scope}"'
            return 401, {"WWW-Authenticate": challenge}, b""
        if method == "POST":
            return (201 if self.mounts and "mount=" in path else 202), {"Location": self.location}, b""
        if method == "PUT":
            name = (
                path if "/manifests/" in path else f"/v2/team/component/blobs/{path.partition('digest=')[2]}"
            )
            self.held[name] = body
            return 201, {}, b""
        found = self.held.get(path)
        return (404, {}, b"") if found is None else (200, {}, found)


@pytest.fixture
def store():
    store = Store()

    class Handler(BaseHTTPRequestHandler):
        def serve(self):
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            store.asked.append((f"{self.command} {self.path}", headers))
            status, found, data = store.answer(self.command, self.path, headers, body)
            self.send_response(status)
            for name, value in {**found, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def log_message(self, *_):
            pass

    for verb in ("GET", "HEAD", "POST", "PUT"):
        setattr(Handler, f"do_{verb}", Handler.serve)
    with http_server(Handler) as url:
        store.host = url.partition("://")[2]
        yield store


def repository(store, name="team/component", **settings) -> Repository:
    return Repository(Registry(insecure=True, **settings), f"{store.host}/{name}", "push it")


def push(store, source="", **settings) -> bool:
    return repository(store, **settings).push(BLOB, len(DATA), lambda: iter([DATA[:9], DATA[9:]]), source)


def failure(function, *arguments, **settings) -> str:
    with pytest.raises(PlatformError, match=r"^cannot push it: ") as caught:
        function(*arguments, **settings)
    for secret in (PASSWORD, TOKEN, encoded()):
        assert secret not in str(caught.value)
    return str(caught.value)


def test_a_blob_is_sent_once_with_its_size(store):
    assert push(store) is True
    assert store.held[f"/v2/team/component/blobs/{BLOB}"] == DATA
    what, headers = store.asked[-1]
    assert what == f"PUT /v2/team/component/blobs/uploads/1?state=x&digest={BLOB}"
    assert headers["content-length"] == str(len(DATA))
    assert "transfer-encoding" not in headers
    assert push(store) is False
    assert store.asked[-1][0].startswith("HEAD ")


def test_a_blob_of_another_repository_is_mounted(store):
    store.mounts = True
    assert push(store, f"{store.host}/team/below") is False
    assert store.asked[-1][0] == f"POST /v2/team/component/blobs/uploads/?mount={BLOB}&from=team%2Fbelow"


def test_a_registry_that_mounts_nothing_is_sent_the_blob(store):
    assert push(store, f"{store.host}/team/below") is True
    assert store.held[f"/v2/team/component/blobs/{BLOB}"] == DATA


def test_of_another_registry_nothing_is_mounted(store):
    store.mounts = True
    assert push(store, "registry.example/team/below") is True
    assert not [what for what, _ in store.asked if "mount=" in what]


@pytest.mark.parametrize(
    "location", ["{url}/v2/up/1", "/v2/up/1", "https://{host}/v2/up/1", "{url}/v2/up/1?a=b"]
)
def test_the_forms_of_where_to_send_it(store, location):
    store.location = location.format(url=f"http://{store.host}", host=store.host)
    assert push(store) is True
    assert re.fullmatch(rf"PUT /v2/up/1\?(a=b&)?digest={BLOB}", store.asked[-1][0])


def test_a_registry_that_sends_us_elsewhere_gets_nothing_there(store, shelf):
    store.location = f"http://{shelf.host}/v2/up/1"
    assert "the registry redirects to 127.0.0.1" in failure(push, store, logins={store.host: encoded()})
    assert shelf.asked == []


@pytest.mark.parametrize("pattern", ["HEAD .*blobs", "POST", "PUT .*uploads"])
@pytest.mark.parametrize("status", [302, 403, 429, 500])
def test_every_other_answer_is_an_error(store, pattern, status):
    store.instead = {pattern: status}
    assert failure(push, store).endswith(f"the registry answers {status}")


def test_a_manifest_that_is_refused_is_an_error(store):
    assert repository(store).push_manifest("tag", MANIFEST) == digest(MANIFEST)
    assert store.held["/v2/team/component/manifests/tag"] == MANIFEST
    assert store.asked[-1][1]["content-type"] == "application/vnd.oci.image.manifest.v1+json"
    store.instead = {"PUT .*manifests": 400}
    assert "answers 400" in failure(repository(store).push_manifest, "tag", MANIFEST)


def test_one_token_has_the_rights_of_both_repositories_and_is_asked_for_once(store):
    store.locked = True
    assert push(store, f"{store.host}/team/below", logins={store.host: encoded()}) is True
    tokens = [(what, headers) for what, headers in store.asked if "/token" in what]
    ((what, headers),) = tokens
    scopes = ["repository:team/component:pull,push", "repository:team/below:pull"]
    assert query_of(what) == {"service": ["it"], "scope": scopes}
    assert headers["authorization"] == f"Basic {encoded()}"
    assert LOGIN not in str(store.asked)


def test_what_is_read_is_checked_against_its_digest(store):
    data = b'{"a": 1}'
    for kind in ("manifests", "blobs"):
        store.held[f"/v2/team/component/{kind}/{digest(data)}"] = data
    ours = repository(store)
    assert ours.manifest(digest(data)) == ours.config(digest(data)) == {"a": 1}
    assert b"".join(ours.stream(digest(data))) == data
    for kind in ("manifests", "blobs"):
        store.held[f"/v2/team/component/{kind}/{digest(data)}"] = b'{"a": 2}'
    assert "has another digest" in failure(ours.manifest, digest(data))
    assert "has another digest" in failure(ours.config, digest(data))
    assert "has another digest" in failure(lambda: list(ours.stream(digest(data))))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"[]", "not a JSON object"),
        (b"<html>", "not a JSON object"),
        (b"x" * (5 << 20), "more than 4194304 bytes"),
    ],
)
def test_what_is_no_manifest(store, data, said):
    store.held["/v2/team/component/manifests/tag"] = data
    assert said in failure(repository(store).manifest, "tag")

"""The head in a ConfigMap, through the API of a cluster: a server with TLS that wants a token."""

import json
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlparse

import pytest
import trustme
from candidates import delete
from promotions import release
from servers import closed_port, http_server, tls

from ml.core.errors import EvidenceError, PlatformError, UsageError
from ml.release import config_map
from ml.release.head import head_of
from ml.release.rollback import rollback
from ml.release.store import ModelStore

PATH = "/api/v1/namespaces/ci/configmaps/jukebox-head"


class Api:
    """One ConfigMap, as the API server keeps it: a write with an old version is a conflict."""

    def __init__(self):
        self.value, self.version, self.status, self.before_write = {}, 1, 200, []

    def answer(self, method, path, headers, body):
        known = path == PATH and headers["Authorization"] == "Bearer a-token"
        if not known or self.status != 200:
            return self.status if known else 404, {}
        if method == "PATCH":
            assert headers["Content-Type"] == "application/merge-patch+json"
            if self.before_write:
                self.value = self.before_write.pop()
                self.version += 1
            if body["metadata"]["resourceVersion"] != str(self.version):
                return 409, {}
            self.value |= body["data"]
            self.version += 1
        return 200, {"metadata": {"resourceVersion": str(self.version)}, "data": self.value}


@pytest.fixture
def api(tmp_path, monkeypatch):
    """Be a pod of a cluster."""
    found, ca = Api(), trustme.CA()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"null")
            status, value = found.answer(self.command, self.path, self.headers, body)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(value).encode())

        def do_PATCH(self):
            self.do_GET()

        def log_message(self, *_):
            pass

    for name, data in {"token": b"a-token\n", "namespace": b"ci", "ca.crt": ca.cert_pem.bytes()}.items():
        (tmp_path / name).write_bytes(data)
    monkeypatch.setattr(config_map, "POD", tmp_path)
    with http_server(Handler, tls(ca.issue_cert("127.0.0.1"))) as url:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(urlparse(url).port))
        yield found


@pytest.fixture
def store(folder, api):
    """A store of two promotions whose head is in the ConfigMap."""
    found = ModelStore(folder.uri, head="configmap:jukebox-head")
    for name in "AB":
        release(found, name)
    return found


def test_each_promotion_and_rollback_writes_the_config_map(store, api):
    assert api.value == {"head": head_of(store.log()).text}
    rollback(store)
    assert json.loads(api.value["head"])["number"] == 3
    assert store.head_state() == "head 3 of configmap:jukebox-head"
    delete(store.uri, "promotions/00000003.json")
    with pytest.raises(EvidenceError, match="configmap:jukebox-head says that promotion 3 was made"):
        store.log()


def test_another_writer_that_comes_first_is_not_overwritten(store, api):
    newer, log = json.dumps({"number": 9, "digest": f"sha256:{'9' * 64}"}), store.log()
    api.value, api.before_write = {}, [{"head": newer, "other": "kept"}]
    store.keep_head(log)
    assert api.value == {"head": newer, "other": "kept"}
    api.value, api.before_write = {}, [{}] * 9
    with pytest.raises(PlatformError, match="other writers keep changing it"):
        store.keep_head(log)


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (404, UsageError, "`kubectl create configmap jukebox-head` creates it"),
        (401, PlatformError, "this account needs get and patch on it"),
        (403, PlatformError, "this account needs get and patch on it"),
        (500, PlatformError, "HTTP 500"),
    ],
)
def test_what_the_api_refuses_is_one_line(store, api, status, error, message):
    api.status = status
    with pytest.raises(error, match=message) as caught:
        store.log()
    assert "a-token" not in str(caught.value)


def test_an_api_that_does_not_answer_or_is_another_clusters_is_a_platform_error(store, monkeypatch, tmp_path):
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    with pytest.raises(PlatformError, match="does not answer"):
        store.log()
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(closed_port()))
    with pytest.raises(PlatformError, match="does not answer"):
        store.log()


def test_outside_of_a_pod_it_is_wrong_use(folder, monkeypatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(UsageError, match="works in a pod only"):
        ModelStore(folder.uri, head="configmap:jukebox-head").log()

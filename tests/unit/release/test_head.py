"""The head of the log, in a file or in a ConfigMap: it reveals that the newest entries were deleted."""

import json
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlparse

import pytest
import trustme
from candidates import delete, overwrite, put
from promotions import release
from reports import POLICY
from servers import closed_port, http_server, tls

from ml.core.canonical import parse
from ml.core.errors import EvidenceError, PlatformError, UsageError
from ml.release import config_map
from ml.release import head as head_module
from ml.release.head import Head, head_of
from ml.release.promotion import champion_of, promote
from ml.release.rollback import plan_rollback, rollback
from ml.release.store import ModelStore


@pytest.fixture
def kept(folder, tmp_path):
    """A store of two promotions whose head is in a file, which was blank at first."""
    store = ModelStore(folder.uri, head=str(tmp_path / "head.json"))
    assert store.head_state() == "head not checked"
    Path(store.head_at).write_text("\n")
    for name in "AB":
        release(store, name)
    return store


def read(store):
    return Head.load(parse(Path(store.head_at).read_bytes()))


def test_each_promotion_and_rollback_stores_the_head(kept):
    assert read(kept) == head_of(kept.log())
    assert rollback(kept).head == read(kept) == head_of(kept.log())
    assert kept.head_state() == f"head 3 of {kept.head_at}"
    kept.keep_head(kept.log()[:1])
    assert read(kept).number == 3
    assert ModelStore(kept.uri).keep_head([]).text == '{"digest":"","number":0}'


@pytest.mark.parametrize("newest", [2, 1])
def test_a_deleted_newest_entry_is_noticed_by_whoever_reads_the_log(kept, monkeypatch, newest):
    for number in range(newest, 3):
        delete(kept.uri, f"promotions/{number:08}.json")
    candidate = put(kept, "C")
    for work in (rollback, plan_rollback, lambda store: promote(store, candidate, POLICY)):
        with pytest.raises(EvidenceError, match=r"says that promotion 2 was made: the newest .* removed"):
            work(kept)
    monkeypatch.setenv("JUKEBOX_HEAD", kept.head_at)
    with pytest.raises(EvidenceError, match="the newest entries were removed"):
        ModelStore(kept.uri).log()
    blind = ModelStore(kept.uri, head="")
    assert (len(blind.log()), blind.head_state()) == (newest - 1, "head not checked")


def test_a_newest_entry_that_was_changed_is_noticed(kept):
    last = kept.log()[-1].model_copy(update={"who": "another"})
    overwrite(kept.uri, "promotions/00000002.json", last.to_bytes())
    with pytest.raises(EvidenceError, match=r"promotion 2 has another digest than in .*head\.json"):
        kept.log()


def test_a_log_that_has_gone_on_since_is_accepted_and_the_next_one_stores_its_head(kept):
    release(ModelStore(kept.uri), "C")
    assert (read(kept).number, len(kept.log())) == (2, 3)
    assert not promote(kept, champion_of(kept.log()), POLICY).new
    assert read(kept) == head_of(kept.log())


def test_a_mounted_config_map_is_read_and_left_alone(kept, tmp_path):
    """It is a symbolic link into a folder that Kubernetes replaces as a whole."""
    mounted = tmp_path / "mounted"
    mounted.symlink_to(kept.head_at)
    outcome = rollback(ModelStore(kept.uri, head=str(mounted)))
    assert (outcome.head.number, outcome.checked) == (3, f"head 2 of {mounted}")
    assert read(kept).number == 2


def test_a_head_that_is_none_or_cannot_be_read_or_written_is_refused(kept, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(head_module, "write_bytes", full)
        with pytest.raises(PlatformError, match=r"head\.json: cannot be written: No space left"):
            rollback(kept)
    with pytest.raises(PlatformError, match="cannot be read"):
        ModelStore(kept.uri, head=str(tmp_path)).log()
    for text in ("{", "[]", "2", '{"number": 2}', '{"number": 1, "digest": "x"}'):
        Path(kept.head_at).write_text(text)
        with pytest.raises(UsageError, match="not the head of a log"):
            kept.log()


class Api:
    """One ConfigMap, as the API server keeps it: a write with an old version is a conflict."""

    def __init__(self):
        self.value, self.version, self.status, self.before_write = {}, 1, 200, []

    def answer(self, method, path, headers, body):
        asked = (path, headers["Authorization"])
        if asked != ("/api/v1/namespaces/ci/configmaps/jukebox-head", "Bearer a-token") or self.status != 200:
            return self.status, {}
        if method == "PATCH":
            assert headers["Content-Type"] == "application/merge-patch+json"
            if self.before_write:
                self.value, self.version = self.before_write.pop(), self.version + 1
            if body["metadata"]["resourceVersion"] != str(self.version):
                return 409, {}
            self.value, self.version = self.value | body["data"], self.version + 1
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
        port = str(urlparse(url).port)
        place = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": port}
        # A proxy is not used.
        for name, value in {**place, "HTTPS_PROXY": "http://127.0.0.1:1", "NO_PROXY": ""}.items():
            monkeypatch.setenv(name, value)
        yield found


def test_a_config_map_is_written_and_other_writers_are_not_overwritten(folder, api):
    store = ModelStore(folder.uri, head="configmap:jukebox-head")
    release(store, "A")
    log = store.log()
    assert api.value == {"head": head_of(log).text}
    assert store.head_state() == "head 1 of configmap:jukebox-head"
    newer = json.dumps({"number": 9, "digest": f"sha256:{'9' * 64}"})
    api.value, api.before_write = {}, [{"head": newer, "other": "kept"}]
    store.keep_head(log)
    assert api.value == {"head": newer, "other": "kept"}
    with pytest.raises(EvidenceError, match="configmap:jukebox-head says that promotion 9 was made"):
        store.log()
    api.value, api.before_write = {}, [{}] * 9
    with pytest.raises(PlatformError, match="other writers keep changing it"):
        store.keep_head(log)


def test_an_api_that_refuses_or_does_not_answer_is_one_line(folder, api, monkeypatch, tmp_path):
    def refused(error, message):
        with pytest.raises(error, match=rf"^[^\n]*{message}[^\n]*$") as caught:
            ModelStore(folder.uri, head="configmap:jukebox-head").log()
        assert "a-token" not in str(caught.value)

    for status in (401, 403, 500):
        api.status = status
        refused(PlatformError, "HTTP 500" if status == 500 else "this account needs get and patch on it")
    api.status = 404
    refused(UsageError, "`kubectl create configmap jukebox-head` creates it")
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    refused(PlatformError, "does not answer")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(closed_port()))
    refused(PlatformError, "does not answer")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    refused(UsageError, "works in a pod only")

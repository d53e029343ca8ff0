"""The head of the log, in a file or in a ConfigMap: it reveals that the newest entries were deleted."""

import json
from pathlib import Path

import pytest
import requests
from candidates import delete, overwrite, put
from promotions import refused, release
from reports import POLICY

from ml.core.canonical import parse
from ml.core.errors import PlatformError, UsageError
from ml.release import config_map
from ml.release import head as head_module
from ml.release.head import Head, head_of
from ml.release.promotion import champion_of, promote
from ml.release.rollback import plan_rollback, rollback
from ml.release.store import ModelStore

LOG = ModelStore.log


@pytest.fixture
def kept(store, tmp_path):
    """A store of two promotions whose head is in a file, which was blank at first."""
    store = ModelStore(store.uri, head=str(tmp_path / "head.json"))
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
    removed = r"says that promotion 2 was made: the newest .* removed"
    for work, *given in ((rollback,), (plan_rollback,), (promote, put(kept, "C"), POLICY)):
        refused(kept, removed, work, *given)
    monkeypatch.setenv("JUKEBOX_HEAD", kept.head_at)
    refused(ModelStore(kept.uri), removed, LOG)
    blind = ModelStore(kept.uri, head="")
    assert (len(blind.log()), blind.head_state()) == (newest - 1, "head not checked")


def test_a_newest_entry_that_was_changed_is_noticed(kept):
    last = kept.log()[-1].model_copy(update={"who": "another"})
    overwrite(kept.uri, "promotions/00000002.json", last.to_bytes())
    refused(kept, r"promotion 2 has another digest than in .*head\.json", LOG)


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
    assert (outcome.head.number, outcome.checked, read(kept).number) == (3, f"head 2 of {mounted}", 2)


def test_a_head_that_is_none_or_cannot_be_read_or_written_is_refused(kept, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(head_module, "write_bytes", full)
        with pytest.raises(PlatformError, match=r"head\.json: cannot be written: No space left"):
            rollback(kept)
    refused(ModelStore(kept.uri, head=str(tmp_path)), "cannot be read", LOG, error=PlatformError)
    Path(kept.head_at).write_text('{"number": 2}')
    refused(kept, "not the head of a log", LOG, error=UsageError)


@pytest.fixture
def api(store, tmp_path, monkeypatch):
    """A store whose head is in a ConfigMap, and the API server; ``rivals`` write before a PATCH."""
    about = {"value": {}, "version": 1, "status": 200, "rivals": []}
    place = "https://[fd00::1]:443/api/v1/namespaces/ci/configmaps/jukebox-head"

    def request(session, method, url, *, json, headers, timeout, verify, allow_redirects):
        assert (session.trust_env, verify, allow_redirects) == (False, str(tmp_path / "ca.crt"), False)
        assert (url, headers["Authorization"], all(timeout)) == (place, "Bearer a-token", True)
        if not about["status"]:
            raise requests.ConnectionError("a-token")
        answer = requests.Response()
        answer.status_code = about["status"]
        if method == "PATCH":
            assert headers["Content-Type"] == "application/merge-patch+json"
            if about["rivals"]:
                about.update(value=about["rivals"].pop(), version=about["version"] + 1)
            # A write that is based on an old version is a conflict.
            if json["metadata"]["resourceVersion"] == str(about["version"]):
                about.update(value=about["value"] | json["data"], version=about["version"] + 1)
            else:
                answer.status_code = 409
        shown = {"metadata": {"resourceVersion": str(about["version"])}, "data": about["value"]}
        answer.json = lambda: shown
        return answer

    (tmp_path / "token").write_text("a-token\n")
    (tmp_path / "namespace").write_text("ci")
    monkeypatch.setattr(config_map, "POD", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setattr(requests.Session, "request", request)
    return ModelStore(store.uri, head="configmap:jukebox-head"), about


def test_a_config_map_is_written_and_other_writers_are_not_overwritten(api):
    store, about = api
    release(store, "A")
    log = store.log()
    assert about["value"] == {"head": head_of(log).text}
    assert store.head_state() == "head 1 of configmap:jukebox-head"
    newer = {"head": json.dumps({"number": 9, "digest": f"sha256:{'9' * 64}"}), "other": "kept"}
    about.update(value={}, rivals=[newer])
    store.keep_head(log)
    assert about["value"] == newer
    refused(store, "configmap:jukebox-head says that promotion 9 was made", LOG)
    about.update(value={}, rivals=[{}] * 9)
    with pytest.raises(PlatformError, match="other writers keep changing it"):
        store.keep_head(log)


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        *((status, PlatformError, "this account needs get and patch on it") for status in (401, 403)),
        (404, UsageError, "`kubectl create configmap jukebox-head` creates it"),
        (500, PlatformError, "HTTP 500"),
        (0, PlatformError, "does not answer"),
        (None, UsageError, "works in a pod only"),
    ],
)
def test_an_api_that_refuses_or_does_not_answer_is_one_line(api, monkeypatch, status, error, message):
    api[1]["status"] = status
    if status is None:
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    with pytest.raises(error, match=rf"^[^\n]*{message}[^\n]*$") as caught:
        api[0].log()
    assert "a-token" not in str(caught.value)

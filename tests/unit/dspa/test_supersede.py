"""A newer run of a branch ends the older ones, and no other."""

import json
from http.server import BaseHTTPRequestHandler

import pytest
import yaml
from command import called
from servers import http_server

from ml.core.kubernetes import Api, NotReadable
from ml.dspa.supersede import supersede

RUNS = "/apis/tekton.dev/v1/namespaces/jukebox/pipelineruns"
MAIN = "refs/heads/main"


class Cluster:
    """The PipelineRuns of a namespace, and how they were patched."""

    def __init__(self) -> None:
        self.runs: dict[str, dict] = {}
        self.patches: dict[str, dict] = {}
        self.refuses: dict[str, int] = {}

    def add(self, name: str, second: int, ref: str = MAIN, **more) -> None:
        params = [{"name": "head-of", "value": ref}, {"name": "revision", "value": "x"}]
        if url := more.pop("url", ""):
            params.append({"name": "repository-url", "value": url})
        self.runs[name] = {
            "metadata": {
                "name": name,
                "creationTimestamp": f"2026-01-01T00:00:{second:02}Z",
                "labels": {"tekton.dev/pipeline": "jukebox-train"},
            },
            "spec": {"params": params, **more.pop("spec", {})},
            "status": more,
        }


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    found = Cluster()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path, _, query = self.path.partition("?")
            if path == RUNS:
                assert "labelSelector=tekton.dev%2Fpipeline%3Djukebox-train" in query
                self.say("", {"items": list(found.runs.values())})
            else:
                name = path.removeprefix(f"{RUNS}/")
                self.say(name, found.runs.get(name))

        def do_PATCH(self):
            name = self.path.removeprefix(f"{RUNS}/")
            assert self.headers["Content-Type"] == "application/merge-patch+json"
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if not found.refuses.get(name):
                found.patches[name] = body
            self.say(name, {})

        def say(self, name, value):
            status = found.refuses.get(name) or (404 if value is None else 200)
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    with http_server(Handler) as url:
        kubeconfig = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "x",
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "users": [{"name": "u", "user": {"token": "a-token"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        }
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        yield found


def test_older_runs_of_the_ref_are_ended_with_what_they_do_in_any_case(cluster):
    cluster.add("first", 1)
    cluster.add("second", 2)
    cluster.add("ours", 3)
    assert sorted(supersede(Api("jukebox"), "ours")) == ["first", "second"]
    assert cluster.patches["first"] == {
        "metadata": {"annotations": {"jukebox/superseded-by": "ours"}},
        "spec": {"status": "CancelledRunFinally"},
    }


ENDED = {"conditions": [{"type": "Succeeded", "status": "True"}]}


@pytest.mark.parametrize(
    ("second", "more"),
    [
        (4, {}),
        (1, {"ref": "refs/heads/other"}),
        (1, {"ref": ""}),
        (1, {"url": "https://git.example/other.git"}),
        (1, ENDED),
        (1, {"spec": {"status": "Cancelled"}}),
        (1, {"childReferences": [{"pipelineTaskName": "promote"}]}),
        (1, {"finallyStartTime": "2026-01-01T00:00:02Z"}),
    ],
    ids=[
        "newer",
        "another branch",
        "by hand",
        "another repository",
        "ended",
        "cancelled",
        "promotes",
        "ends",
    ],
)
def test_no_other_run_is_ended(cluster, second, more):
    cluster.add("other", second, **more)
    cluster.add("ours", 3)
    assert supersede(Api("jukebox"), "ours") == []
    assert cluster.patches == {}


def test_of_two_that_began_in_one_second_one_goes_on(cluster):
    cluster.add("a", 3)
    cluster.add("b", 3)
    assert (supersede(Api("jukebox"), "a"), supersede(Api("jukebox"), "b")) == ([], ["a"])


def test_a_run_by_hand_ends_none(cluster):
    cluster.add("other", 1, ref="")
    cluster.add("ours", 3, ref="")
    assert supersede(Api("jukebox"), "ours") == []


def test_a_run_that_is_gone_meanwhile_is_passed_over(cluster):
    cluster.add("first", 1)
    cluster.add("ours", 3)
    cluster.refuses["first"] = 404
    assert supersede(Api("jukebox"), "ours") == []


def test_without_the_right_they_go_on_and_that_is_said(cluster, tmp_path):
    cluster.add("first", 1)
    cluster.add("ours", 3)
    cluster.refuses["first"] = 403
    with pytest.raises(NotReadable, match="may not change pipelineruns"):
        supersede(Api("jukebox"), "ours")
    done = called("ci", "supersede", "ours", "--namespace", "jukebox", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("older runs of the branch go on: this account may not change pipelineruns")
    done = called("ci", "supersede", "ours", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--namespace must name theirs" in done.stdout

"""A newer run of a branch cancels the older ones, and no other."""

import json
from http.server import BaseHTTPRequestHandler

import pytest
from command import called
from pods import kubeconfig
from servers import http_server

from ml.core.kubernetes import Api, NotReadable
from ml.dspa.supersede import supersede

RUNS = "/apis/tekton.dev/v1/namespaces/jukebox/pipelineruns"


class Cluster:
    """The PipelineRuns of a namespace, and how they were patched."""

    def __init__(self) -> None:
        self.runs: dict[str, dict] = {}
        self.patches: dict[str, dict] = {}
        self.refuses: dict[str, int] = {}

    def add(
        self, name: str, second: int, ref: str = "refs/heads/main", url: str = "", spec=None, **status
    ) -> None:
        params = {"head-of": ref, "revision": "x", **({"repository-url": url} if url else {})}
        self.runs[name] = {
            "metadata": {
                "name": name,
                "creationTimestamp": f"2026-01-01T00:00:{second:02}Z",
                "labels": {"tekton.dev/pipeline": "jukebox-train"},
            },
            "spec": {
                "params": [{"name": key, "value": value} for key, value in params.items()],
                **(spec or {}),
            },
            "status": status,
        }


@pytest.fixture
def cluster(tmp_path):
    known = Cluster()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path, _, query = self.path.partition("?")
            if path == RUNS:
                assert "labelSelector=tekton.dev%2Fpipeline%3Djukebox-train" in query
                self.say("", {"items": list(known.runs.values())})
            else:
                name = path.removeprefix(f"{RUNS}/")
                self.say(name, known.runs.get(name))

        def do_PATCH(self):
            name = self.path.removeprefix(f"{RUNS}/")
            assert self.headers["Content-Type"] == "application/merge-patch+json"
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if name not in known.refuses:
                known.patches[name] = body
            self.say(name, {})

        def say(self, name, value):
            data = json.dumps(value).encode()
            self.send_response(known.refuses.get(name) or (404 if value is None else 200))
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    with http_server(Handler) as url:
        kubeconfig(tmp_path, url)
        yield known


def superseded(name: str = "ours") -> list[str]:
    return supersede(Api("jukebox"), name)


def test_older_runs_of_the_ref_are_cancelled_and_their_finally_tasks_run(cluster):
    for second, name in enumerate(("first", "second", "ours")):
        cluster.add(name, second)
    assert sorted(superseded()) == ["first", "second"]
    assert cluster.patches["first"] == {
        "metadata": {"annotations": {"jukebox/superseded-by": "ours"}},
        "spec": {"status": "CancelledRunFinally"},
    }


@pytest.mark.parametrize(
    ("second", "more"),
    [
        (4, {}),
        (1, {"ref": "refs/heads/other"}),
        (1, {"ref": ""}),
        (1, {"url": "https://git.example/other.git"}),
        (1, {"conditions": [{"type": "Succeeded", "status": "True"}]}),
        (1, {"spec": {"status": "Cancelled"}}),
        (1, {"childReferences": [{"pipelineTaskName": "promote"}]}),
        (1, {"finallyStartTime": "2026-01-01T00:00:02Z"}),
    ],
    ids=["newer", "branch", "by hand", "repository", "ended", "cancelled", "promotes", "ends"],
)
def test_no_other_run_is_cancelled(cluster, second, more):
    cluster.add("other", second, **more)
    cluster.add("ours", 3)
    assert superseded() == []
    cluster.runs["ours"]["spec"]["params"] = []  # a run by hand cancels none
    assert superseded() == []
    assert cluster.patches == {}


def test_of_two_that_began_in_one_second_one_continues(cluster):
    cluster.add("a", 3)
    cluster.add("b", 3)
    assert (superseded("a"), superseded("b")) == ([], ["a"])


def test_a_run_that_is_deleted_meanwhile_is_ignored_and_a_missing_right_reported(cluster, tmp_path):
    cluster.add("first", 1)
    cluster.add("ours", 3)
    cluster.refuses["first"] = 404
    assert superseded() == []
    cluster.refuses["first"] = 403
    with pytest.raises(NotReadable, match="may not change pipelineruns"):
        superseded()
    refusal = "older runs of the branch go on: this account may not change pipelineruns"
    for namespace, said in (
        (("--namespace", "jukebox"), refusal),
        ((), "older runs of the branch go on: outside"),
    ):
        done = called("ci", "supersede", "ours", *namespace, cwd=tmp_path)
        assert (done.returncode, done.stderr, done.stdout.startswith(said)) == (0, "", True)

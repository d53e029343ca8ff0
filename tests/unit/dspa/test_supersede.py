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
        self.runs, self.patches, self.refusal = {}, {}, 0

    def add(self, name: str, second: int, ref="refs/heads/main", url="", spec=None, **status) -> None:
        params = {"head-of": ref, "revision": "x", **({"repository-url": url} if url else {})}
        listed = [{"name": key, "value": value} for key, value in params.items()]
        about = {"name": name, "creationTimestamp": f"2026-01-01T00:00:{second:02}Z"}
        labels = {"tekton.dev/pipeline": "jukebox-train"}
        spec = {"params": listed, **(spec or {})}
        self.runs[name] = {"metadata": {**about, "labels": labels}, "spec": spec, "status": status}


@pytest.fixture
def cluster(tmp_path):
    known = Cluster()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path, _, query = self.path.partition("?")
            listed = path == RUNS and "labelSelector=tekton.dev%2Fpipeline%3Djukebox-train" in query
            self.say({"items": [*known.runs.values()]} if listed else known.runs.get(path.rpartition("/")[2]))

        def do_PATCH(self):
            assert self.headers["Content-Type"] == "application/merge-patch+json"
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            known.patches[self.path.removeprefix(f"{RUNS}/")] = body
            self.say({}, known.refusal)

        def say(self, value, refusal=0):
            data = json.dumps(value).encode()
            self.send_response(refusal or (404 if value is None else 200))
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
    cluster.add("late", 2)  # of two that began in one second, one continues
    assert (sorted(superseded("late")), sorted(superseded())) == (
        ["first", "second"],
        ["first", "late", "second"],
    )
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


def test_a_run_that_is_deleted_meanwhile_is_ignored_and_a_missing_right_reported(cluster, tmp_path):
    cluster.add("first", 1)
    cluster.add("ours", 3)
    cluster.refusal = 404
    assert superseded() == []
    cluster.refusal = 403
    with pytest.raises(NotReadable, match="may not change pipelineruns"):
        superseded()
    for namespace, reason in ((["--namespace", "jukebox"], "this account may not change"), ([], "outside")):
        done = called("ci", "supersede", "ours", *namespace, cwd=tmp_path)
        told = done.stdout.startswith(f"older runs of the branch go on: {reason}")
        assert (done.returncode, done.stderr, told) == (0, "", True)

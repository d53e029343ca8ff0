"""In Tekton a SIGTERM is for the pod or for the run: the TaskRun tells. What is left behind is ended."""

import json

import pytest
from dspa_server import Fault, Script
from pods import kubernetes
from submissions import world

from ml.core.errors import Interrupted, RunFailed
from ml.core.kubernetes import Api
from ml.dspa.tekton import TaskRun
from ml.dspa.timeouts import DeadlineOver

TEKTON = "/apis/tekton.dev/v1/namespaces/jukebox"
GOING = {"type": "Succeeded", "status": "Unknown"}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    with world(tmp_path) as found:
        found.dspa.script = Script(never_ends=True)
        yield found


@pytest.fixture
def cluster(tmp_path):
    with kubernetes(tmp_path) as site:
        yield site


def put(cluster, kind: str, name: str, *, status: str = "", condition=None, uid: str = "uid-1") -> None:
    labels = {"tekton.dev/pipelineRun": "train-1"}
    found = {
        "metadata": {"name": name, "uid": uid, "labels": labels},
        "spec": {"status": status} if status else {},
        "status": {"conditions": [condition or GOING]},
    }
    cluster.files[f"{TEKTON}/{kind}/{name}"] = json.dumps(found).encode()


def task_run() -> TaskRun:
    return TaskRun(Api("jukebox"), "train-1-submit-run")


def stop_at_running(state: str, _) -> None:
    """Take the states of a run, and want to stop when it runs."""
    if state == "RUNNING":
        raise Interrupted


@pytest.mark.parametrize(
    ("status", "condition", "left"),
    [
        ("", None, True),
        ("TaskRunCancelled", None, False),
        ("", {"type": "Succeeded", "status": "False", "reason": "TaskRunTimeout"}, False),
    ],
)
def test_only_a_cancelled_task_run_means_the_run(here, cluster, status, condition, left):
    put(cluster, "taskruns", "train-1-submit-run", status=status, condition=condition)
    with pytest.raises(RunFailed) as caught:
        here.submit(task_run=task_run(), show=stop_at_running, stop=5)
    (run,) = here.runs()
    said = "left to its next try" if left else f"run {run.run_id} was terminated"
    assert str(caught.value).startswith("interrupted; ")
    assert said in str(caught.value)
    assert run.terminated is not left


def test_a_task_run_that_was_deleted_means_the_run(here, cluster):
    with pytest.raises(RunFailed, match="was terminated"):
        here.submit(task_run=task_run(), show=stop_at_running, stop=5)
    assert not any("is not known" in line for line in here.said)


def test_where_it_is_not_known_the_run_is_ended(here, cluster):
    put(cluster, "taskruns", "train-1-submit-run")
    cluster.status = 403
    with pytest.raises(RunFailed, match="was terminated"):
        here.submit(task_run=task_run(), show=stop_at_running, stop=5)
    reason = "this account may not read taskruns in namespace jukebox"
    assert f"note: cannot determine whether the TaskRun was cancelled: {reason}" in here.said


@pytest.mark.parametrize("canceling", [0, 2])
def test_the_next_try_adopts_a_run_that_was_left_and_replaces_one_that_was_cancelled(
    here, cluster, canceling
):
    """Also where the run ended at once, so that its history knows of no cancelling."""
    here.dspa.script = Script(never_ends=True, canceling=canceling)
    put(cluster, "taskruns", "train-1-submit-run")
    with pytest.raises(RunFailed, match="left to its next try"):
        here.submit(task_run=task_run(), show=stop_at_running)
    (left,) = here.runs()
    put(cluster, "taskruns", "train-1-submit-run", status="TaskRunCancelled")
    with pytest.raises(RunFailed, match=f"run {left.run_id} was terminated"):
        here.submit(task_run=task_run(), show=stop_at_running, stop=5)
    assert len(here.runs()) == 1
    assert ("CANCELING" in [state for _, state in left.state_history]) is bool(canceling)
    here.dspa.script = Script()
    found = here.submit(task_run=task_run())
    assert found.run_id != left.run_id
    assert len(here.runs()) == 2


@pytest.mark.parametrize(
    ("name", "ended"),
    [
        ("jukebox/gone", True),
        ("jukebox/over", True),
        ("jukebox/again", True),
        ("jukebox/going", False),
        ("elsewhere/gone", False),
        ("", False),
    ],
)
def test_a_run_that_a_pipeline_run_has_left_is_ended_by_the_next_submission(here, cluster, name, ended):
    put(cluster, "taskruns", "train-1-submit-run")
    put(cluster, "pipelineruns", "over", condition={"type": "Succeeded", "status": "False"}, uid="other")
    put(cluster, "pipelineruns", "again", uid="another")
    put(cluster, "pipelineruns", "going", uid="other")
    left = here.begin(here.submission("other").model_copy(update={"pipeline_run": name}))
    with pytest.raises(RunFailed, match="left to its next try"):
        here.submit(task_run=task_run(), show=stop_at_running)
    assert here.dspa.runs[left.run_id].terminated is ended
    told = f"run {left.run_id} is terminated: its PipelineRun has ended"
    assert (told in here.said) is ended


def test_what_cannot_be_found_out_is_left_alone(here, cluster):
    put(cluster, "taskruns", "train-1-submit-run")
    put(cluster, "pipelineruns", "over", condition={"type": "Succeeded", "status": "False"})
    left = here.begin(here.submission("other").model_copy(update={"pipeline_run": "jukebox/over"}))
    cluster.status = 500
    with pytest.raises(RunFailed):
        here.submit(task_run=task_run(), show=stop_at_running, stop=5)
    assert not here.dspa.runs[left.run_id].terminated


def test_the_pipeline_run_is_named_by_its_task_run(cluster, here):
    assert task_run().pipeline_run() == ""
    put(cluster, "taskruns", "train-1-submit-run")
    assert task_run().pipeline_run() == "jukebox/train-1"
    submission = here.submission().model_copy(update={"pipeline_run": "jukebox/train-1", "cause": "a push"})
    assert submission.body("e")["description"] == (
        "jukebox submit, attempt attempt-1, PipelineRun jukebox/train-1: a push"
    )


def test_a_run_that_cannot_be_archived_was_terminated_all_the_same(here):
    here.dspa.fault = lambda request: Fault.busy(503) if request.kind == "archive" else None
    with pytest.raises(DeadlineOver, match="was terminated"):
        here.submit(deadline=1, outage=0.1, stop=5)
    assert here.runs()[0].terminated

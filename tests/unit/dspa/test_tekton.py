"""In Tekton the TaskRun tells whether a SIGTERM is for the run, and abandoned runs are terminated."""

import json

import pytest
from dspa_server import Fault, Script

from ml.core.errors import Interrupted, RunFailed
from ml.core.kubernetes import Api
from ml.dspa.tekton import TaskRun
from ml.dspa.timeouts import DeadlineOver

NAME = "train-1-submit-run"
RUNNING = {"type": "Succeeded", "status": "Unknown"}
OVER = {"type": "Succeeded", "status": "False", "reason": "TaskRunTimeout"}


@pytest.fixture(autouse=True)
def _endless(here):
    here.dspa.script = Script(never_ends=True)


def put(cluster, kind="taskruns", name=NAME, *, status="", condition=RUNNING, uid="uid-1") -> None:
    entry = {
        "metadata": {"name": name, "uid": uid, "labels": {"tekton.dev/pipelineRun": "train-1"}},
        "spec": {"status": status} if status else {},
        "status": {"conditions": [condition]},
    }
    cluster.files[f"/apis/tekton.dev/v1/namespaces/jukebox/{kind}/{name}"] = json.dumps(entry).encode()


def task_run() -> TaskRun:
    return TaskRun(Api("jukebox"), NAME)


def interrupted(here, message: str) -> str:
    """Interrupt a submission while its run runs, and return the line."""

    def stop(state: str, _) -> None:
        if state == "RUNNING":
            raise Interrupted

    before, here.show = here.show, stop
    with pytest.raises(RunFailed, match=f"^interrupted; .*{message}") as caught:
        here.submit(task_run=task_run(), stop=5)
    here.show = before
    return str(caught.value)


@pytest.mark.parametrize(
    ("status", "condition", "left"),
    [("", RUNNING, True), ("TaskRunCancelled", RUNNING, False), ("", OVER, False)],
)
def test_only_an_ended_task_run_means_the_run(here, cluster, status, condition, left):
    put(cluster, status=status, condition=condition)
    line = interrupted(here, "left to its next try" if left else "was terminated")
    (run,) = here.runs()
    assert (run.terminated, run.run_id in line) == (not left, not left)


def test_a_deleted_or_unreadable_task_run_means_the_run(here, cluster):
    assert task_run().pipeline_run() == ""
    interrupted(here, "was terminated")
    assert not any("cannot determine" in line for line in here.said)
    put(cluster)
    cluster.status = 403
    interrupted(here, "was terminated")
    reason = "this account may not read taskruns in namespace jukebox"
    assert f"note: cannot determine whether the TaskRun was cancelled: {reason}" in here.said


@pytest.mark.parametrize("canceling", [0, 2])
def test_the_next_try_adopts_a_run_that_was_left_and_replaces_a_cancelled_one(here, cluster, canceling):
    # A run that ends at once has no CANCELING in its history.
    here.dspa.script = Script(never_ends=True, canceling=canceling)
    put(cluster)
    assert task_run().pipeline_run() == "jukebox/train-1"
    interrupted(here, "left to its next try")
    (left,) = here.runs()
    put(cluster, status="TaskRunCancelled")
    interrupted(here, f"run {left.run_id} was terminated")
    assert len(here.runs()) == 1
    assert ("CANCELING" in [state for _, state in left.state_history]) is bool(canceling)
    here.dspa.script = Script()
    assert here.submit(task_run=task_run()).run_id != left.run_id
    assert len(here.runs()) == 2


@pytest.mark.parametrize(
    ("name", "terminated"),
    [
        *((f"jukebox/{name}", True) for name in ("gone", "over", "again")),
        *((name, False) for name in ("jukebox/running", "jukebox/unreadable", "elsewhere/gone", "")),
    ],
)
def test_a_run_whose_pipeline_run_has_ended_is_terminated_by_the_next_submission(
    here, cluster, name, terminated
):
    put(cluster)
    for ended in ("over", "unreadable"):
        put(cluster, "pipelineruns", ended, condition=OVER, uid="other")
    put(cluster, "pipelineruns", "again", uid="another")
    put(cluster, "pipelineruns", "running", uid="other")
    cluster.status = 500 if name.endswith("unreadable") else 200
    left = here.begin(here.submission("other").model_copy(update={"pipeline_run": name}))
    interrupted(here, "")
    assert here.dspa.runs[left.run_id].terminated is terminated
    assert (f"run {left.run_id} is terminated: its PipelineRun has ended" in here.said) is terminated
    unreadable = any("abandoned runs cannot be looked up" in line for line in here.said)
    assert unreadable is name.endswith("unreadable")


def test_a_run_that_cannot_be_archived_was_terminated_all_the_same(here):
    here.dspa.fault = lambda request: Fault.busy(503) if request.kind == "archive" else None
    here.ends_in(DeadlineOver, "was terminated", expires="RUNNING", outage=0.1, stop=5)
    assert here.runs()[0].terminated

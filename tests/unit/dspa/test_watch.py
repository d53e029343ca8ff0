"""Why a run failed is reported, and a step that cannot start has a timeout."""

import pytest
from dspa_server import Script
from pods import EVENTS, NAMESPACE, PODS, UNSCHEDULABLE, ended, kubernetes, listed, pod, waiting
from submissions import nth

from ml.core.errors import GateBlocked, RunFailed
from ml.dspa.cluster import Cluster
from ml.dspa.timeouts import DeadlineOver
from ml.dspa.watch import Stuck

FAILED = Script(final="FAILED", failed_task="validate")
FOREVER = Script(never_ends=True)
REASON = "cannot be scheduled: 0/1 nodes are available: 1 Insufficient memory."
NO_NODE = pod("train", "Pending", **UNSCHEDULABLE)


def failing(step: str, message: str = ""):
    return pod(step, "Failed", main=ended(1, message=message))


AWAY = failing("evaluate", "PlatformError: cannot reach the bucket")
BROKEN = failing("validate", "DataError: column daily_rank is missing")


@pytest.fixture
def failed(here):
    """A run that will fail without evidence."""
    here.dspa.script, here.dspa.on_finish = FAILED, None
    return here


def test_a_failed_run_has_the_reason_of_each_step(failed, tmp_path):
    logs = {"preprocess": "preprocess: no\nF exit status 1\n", "validate": "validate: not the reason\n"}
    pods = (pod("fetch", "Succeeded", main=ended(0)), BROKEN, failing("preprocess"))
    with kubernetes(tmp_path, *pods, logs=logs) as site:
        line = "failed before it wrote evidence: validate: column daily_rank is missing; preprocess: no$"
        error = failed.ends_in(RunFailed, line)
    assert error.details["evidence"] == ""
    assert error.details["causes"] == [
        {"step": "validate", "line": "column daily_rank is missing", "kind": "DataError"},
        {"step": "preprocess", "line": "no", "kind": ""},
    ]
    (run,) = failed.runs()
    assert any(f"labelSelector=pipeline%2Frunid%3D{run.run_id}" in asked for asked in site.asked)


def test_a_run_that_failed_after_its_gate_has_the_reason_too(here, tmp_path):
    here.dspa.script = Script(final="FAILED", failed_task="save")
    with kubernetes(tmp_path, failing("save", "PlatformError: no bucket")):
        here.ends_in(GateBlocked, "passes, but a step after the gate failed: save: no bucket")


@pytest.mark.parametrize(
    ("status", "answer", "reason"),
    [
        (200, listed(), f"namespace {NAMESPACE} has no failed pod of it"),
        (403, b"", f"this account may not read pods in namespace {NAMESPACE}"),
        (500, b"", "the Kubernetes API says 500"),
        (0, b"", "there is no kubeconfig here"),
        (200, b"<html>log in</html>", "the answer is not the Kubernetes API's"),
        *((200, answer, "the answer is not a list of pods") for answer in (b"{}", listed({"metadata": {}}))),
    ],
)
def test_without_the_pods_the_task_and_the_command_are_named(
    failed, cluster, tmp_path, status, answer, reason
):
    cluster.status, cluster.files[PODS] = status, answer
    if not status:
        (tmp_path / "kubeconfig").unlink()
    error = failed.ends_in(RunFailed, rf"evidence: validate \({reason}")
    assert (error.exit_code, error.details["causes"]) == (20, [])
    command = f"kubectl logs -n ci -l pipeline/runid={error.details['run_id']} -c main --prefix --tail=50"
    assert f"`{command}` shows its logs" in str(error)


def test_without_pods_the_log_that_the_dspa_keeps_has_the_reason(failed, cluster, tmp_path):
    failed.pipeline_root = str(tmp_path / "root")

    def keep(run):
        kept = tmp_path / "root" / "jukebox-train" / run.run_id / "validate" / "1234"
        kept.mkdir(parents=True)
        (kept / "executor-logs-0").write_text("validate: column daily_rank is missing\nexit status 1\n")

    failed.dspa.on_finish = keep
    failed.ends_in(RunFailed, "evidence: validate: column daily_rank is missing$")


def test_a_step_that_cannot_start_is_reported_once_and_ends_the_run_but_not_a_followed_one(here, tmp_path):
    here.dspa.script = FOREVER
    with kubernetes(tmp_path, NO_NODE):
        error = here.ends_in(Stuck, f"is stuck: train: {REASON}", pods=0.01, stuck=0.3)
    (run,) = here.runs()
    assert (run.terminated, error.exit_code) == (True, 20)
    assert f"run {run.run_id} was terminated" in str(error)
    assert error.details["causes"] == [{"step": "train", "line": REASON, "kind": "Unschedulable"}]
    assert [line.partition(";")[0] for line in here.said if "train" in line] == [f"train: {REASON}"]
    run = here.begin(here.submission("another"))
    with kubernetes(tmp_path, NO_NODE), pytest.raises(Stuck, match=f"{REASON}; run {run.run_id} continues"):
        here.follow(run.run_id, pods=0.01, stuck=0.1)
    assert here.count("terminate") == 1


def test_a_step_that_starts_after_all_does_not_end_the_run(here, tmp_path):
    here.dspa.script = Script(running=60)
    with kubernetes(tmp_path, NO_NODE) as site:

        def recover(_):
            if here.count("get_run") > 30:
                site.files[PODS] = listed(pod("train", "Running"))

        here.dspa.fault = recover
        assert here.submit(pods=0.01, stuck=30).verdict.passed
    assert any(line.startswith(f"train: {REASON}") for line in here.said)


def test_a_run_without_pods_is_stuck_too_and_a_missing_right_is_tried_once(here, cluster):
    here.dspa.script = Script(running=40)
    cluster.status = 403
    assert here.submit(pods=0.01, stuck=0.01).verdict.passed
    assert len(cluster.asked) == 1
    here.dspa.script, cluster.status = FOREVER, 200
    message = "the run: it has no pods: its workflow was deleted"
    here.ends_in(Stuck, message, submission=here.submission("another"), pods=0.01, stuck=0.2)


def test_the_reason_of_a_pod_that_is_pending_for_a_minute_is_in_its_events(tmp_path):
    mount = {"message": 'secret "store" not found', "lastTimestamp": "2026-01-01T00:00:02Z"}
    older = {"reason": "Other", "message": "else", "lastTimestamp": "2026-01-01T00:00:01Z"}
    slow = pod("fetch", "Pending", main=waiting("ContainerCreating"))
    young = pod("save", "Pending", main=waiting("ContainerCreating"), created="2999-01-01T00:00:00Z")
    with kubernetes(tmp_path, slow, young, events=(mount, older)) as site:
        causes = Cluster(NAMESPACE).waiting("a-run")
        site.files[EVENTS] = listed()
        assert Cluster(NAMESPACE).waiting("a-run") == []
    assert list(map(str, causes)) == ['fetch: cannot start: secret "store" not found']
    asked = [line for line in site.asked if EVENTS in line]
    assert (len(asked), "involvedObject.name%3Djukebox-x-fetch%2Ctype%3DWarning" in asked[0]) == (2, True)


def test_a_run_whose_workflow_was_deleted_is_not_said_to_have_ended(here, cluster):
    here.dspa.script = Script(states=("RUNNING",), canceled="CANCELING")
    expire = nth("get_run", dict.fromkeys(range(1, 99), here.expire))
    here.dspa.fault = lambda request: expire(request) if here.count("terminate") else None
    error = here.ends_in(DeadlineOver, "not done within", expires="RUNNING", stop=60)
    (run,) = here.runs()
    ending = f"run {run.run_id} was terminated and has not ended in 60 s"
    assert f"{ending} (it has no pods: its workflow was deleted)" in str(error)
    cluster.status = 500
    here.ends_in(DeadlineOver, "has not ended in 60 s; see", stop=60)
    # The attempt can have another run.
    here.dspa.script, here.dspa.fault = Script(), None
    assert here.submit().run_id != run.run_id


def test_one_problem_in_two_wordings_is_reported_once(here, cluster):
    here.dspa.script = FOREVER
    reasons = ("ErrImagePull", "ImagePullBackOff")
    wordings = [listed(pod("fetch", "Pending", main=waiting(reason, "not found"))) for reason in reasons]

    def reword(_):
        cluster.files[PODS] = wordings[here.count("get_run") // 5 % 2]

    here.dspa.fault = reword
    here.ends_in(Stuck, "fetch: image cannot be pulled: x: not found", pods=0.01, stuck=0.5)
    assert len([line for line in here.said if "cannot be pulled" in line]) == 1


def test_a_run_that_failed_for_transient_causes_is_retried_and_passes(failed, tmp_path):
    with kubernetes(tmp_path, AWAY, failing("gate")) as site:

        def recover(request):
            if request.kind == "retry":
                failed.runs()[0].script, failed.dspa.on_finish = Script(), failed.leave
                site.files[PODS] = listed()

        failed.dspa.fault = recover
        assert failed.submit().verdict.passed
    assert failed.count("retry") == failed.count("create_run") == 1
    causes = "evaluate: cannot reach the bucket; gate: ended with code 1"
    assert any(line.endswith(f"{causes}; the cause is transient, so it is retried") for line in failed.said)


def test_retries_are_bounded_and_a_follower_retries_nothing(failed, tmp_path):
    with kubernetes(tmp_path, AWAY):
        error = failed.ends_in(RunFailed, "evaluate: cannot reach the bucket", settle=0.05)
        assert failed.count("retry") == 2
        with pytest.raises(RunFailed, match="cannot reach the bucket"):
            failed.follow(error.details["run_id"])
    assert failed.count("retry") == 2


@pytest.mark.parametrize(
    ("script", "pods", "message"),
    [
        (FAILED, (AWAY, BROKEN), "validate"),
        (FAILED, (), "validate"),
        (Script(final="CANCELED"), (AWAY,), "was cancelled"),
    ],
)
def test_a_final_or_unknown_cause_and_a_cancelled_run_are_not_retried(
    failed, tmp_path, script, pods, message
):
    failed.dspa.script = script
    with kubernetes(tmp_path, *pods):
        failed.ends_in(RunFailed, message)
    assert failed.count("retry") == 0

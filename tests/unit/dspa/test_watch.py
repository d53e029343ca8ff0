"""Why a run failed reaches whoever follows it, and what cannot begin is not waited for for ever."""

import pytest
from dspa_server import Script
from pods import EVENTS, NAMESPACE, PODS, UNSCHEDULABLE, ended, kubernetes, listed, pod, waiting
from submissions import World, world

from ml.core.errors import GateBlocked, RunFailed
from ml.dspa.cluster import Cluster
from ml.dspa.watch import Stuck

FAILED = Script(final="FAILED", failed_task="validate")
NO_NODE = pod("train", "Pending", **UNSCHEDULABLE)
LINE = "train: cannot be scheduled: 0/1 nodes are available: 1 Insufficient memory."


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    with world(tmp_path) as found:
        yield found


def fails(here: World, error: type[Exception], message: str, **options) -> Exception:
    with pytest.raises(error, match=message) as caught:
        here.submit(**options)
    return caught.value


def test_a_run_that_failed_says_what_each_step_said(here, tmp_path):
    here.dspa.script, here.dspa.on_finish = FAILED, None
    pods = [
        pod("fetch", "Succeeded", main=ended(0)),
        pod("validate", "Failed", main=ended(1, message="DataError: column daily_rank is missing")),
        pod("preprocess", "Failed", main=ended(1)),
    ]
    with kubernetes(tmp_path, *pods, logs={"preprocess": "preprocess: no\nF exit status 1\n"}) as site:
        error = fails(
            here,
            RunFailed,
            "failed before it wrote evidence: validate: column daily_rank is missing; preprocess: no$",
        )
    assert error.details["evidence"] == ""
    assert error.details["causes"] == [
        {"step": "validate", "line": "column daily_rank is missing", "kind": "DataError"},
        {"step": "preprocess", "line": "no", "kind": ""},
    ]
    (run,) = here.runs()
    assert any(f"labelSelector=pipeline%2Frunid%3D{run.run_id}" in asked for asked in site.asked)


def test_a_run_that_failed_after_its_gate_says_why_too(here, tmp_path):
    here.dspa.script = Script(final="FAILED", failed_task="save")
    with kubernetes(tmp_path, pod("save", "Failed", main=ended(1, message="PlatformError: no bucket"))):
        fails(here, GateBlocked, "passes, but a step after the gate failed: save: no bucket")


@pytest.mark.parametrize(
    ("status", "reason"),
    [(403, f"this account may not read pods in namespace {NAMESPACE}"), (500, "the Kubernetes API says 500")],
)
def test_without_the_right_it_names_the_task_and_the_command(here, tmp_path, status, reason):
    here.dspa.script, here.dspa.on_finish = FAILED, None
    with kubernetes(tmp_path) as site:
        site.status = status
        error = fails(here, RunFailed, rf"evidence: validate \({reason}")
    (run,) = here.runs()
    assert (
        f"`kubectl logs -n ci -l pipeline/runid={run.run_id} -c main --prefix --tail=50` shows its logs"
        in str(error)
    )


def test_without_a_kubeconfig_nothing_but_the_reason_is_lost(here):
    here.dspa.script, here.dspa.on_finish = FAILED, None
    fails(here, RunFailed, r"evidence: validate \(there is no kubeconfig here; `kubectl logs")


def test_where_the_pods_are_gone_the_log_that_the_dspa_keeps_says_it(here, tmp_path):
    here.dspa.script, here.dspa.on_finish = FAILED, None
    here.pipeline_root = str(tmp_path / "root")

    def leave(run):
        kept = tmp_path / "root" / "jukebox-train" / run.run_id / "validate" / "1234"
        kept.mkdir(parents=True)
        (kept / "executor-logs-0").write_text("validate: column daily_rank is missing\nexit status 1\n")

    here.dspa.on_finish = leave
    with kubernetes(tmp_path):
        fails(here, RunFailed, "evidence: validate: column daily_rank is missing$")


def test_what_cannot_begin_is_said_once_and_ends_the_run(here, tmp_path):
    here.dspa.script = Script(never_ends=True)
    with kubernetes(tmp_path, NO_NODE):
        error = fails(here, Stuck, f"is stuck: {LINE}", pods=0.01, stuck=0.3)
    (run,) = here.runs()
    assert run.terminated
    assert f"run {run.run_id} was terminated" in str(error)
    assert error.exit_code == 20
    assert error.details["causes"] == [
        {"step": "train", "line": LINE.partition(": ")[2], "kind": "Unschedulable"}
    ]
    assert [line.partition(";")[0] for line in here.said if "train" in line] == [LINE]


def test_what_begins_after_all_is_no_reason_to_end(here, tmp_path):
    here.dspa.script = Script(running=60)
    with kubernetes(tmp_path, NO_NODE) as site:
        asked = here.dspa.fault

        def get_better(request):
            if here.count("get_run") > 30:
                site.files[PODS] = listed(pod("train", "Running"))
            return asked(request) if asked else None

        here.dspa.fault = get_better
        assert here.submit(pods=0.01, stuck=30).verdict.passed
    assert any(line.startswith(LINE) for line in here.said)


def test_a_run_without_pods_is_given_up_too(here, tmp_path):
    here.dspa.script = Script(never_ends=True)
    with kubernetes(tmp_path):
        fails(here, Stuck, "the run: it has no pods: its workflow was deleted", pods=0.01, stuck=0.2)


def test_following_gives_up_but_never_ends_the_run(here, tmp_path):
    here.dspa.script = Script(never_ends=True)
    run = here.begin()
    with kubernetes(tmp_path, NO_NODE), pytest.raises(Stuck, match=f"{LINE}; run {run.run_id} continues"):
        here.follow(run.run_id, pods=0.01, stuck=0.1)
    assert here.count("terminate") == 0


def test_the_right_that_is_missing_is_asked_for_once(here, tmp_path):
    here.dspa.script = Script(running=40)
    with kubernetes(tmp_path) as site:
        site.status = 403
        assert here.submit(pods=0.01, stuck=0.01).verdict.passed
    assert len(site.asked) == 1


def test_a_pod_that_has_not_begun_for_a_minute_is_explained_by_its_events(here, tmp_path):
    mount = {
        "reason": "FailedMount",
        "message": 'secret "store" not found',
        "lastTimestamp": "2026-01-01T00:00:02Z",
    }
    older = {"reason": "Other", "message": "else", "lastTimestamp": "2026-01-01T00:00:01Z"}
    slow = pod("fetch", "Pending", main=waiting("ContainerCreating"))
    young = pod("save", "Pending", main=waiting("ContainerCreating"), created="2999-01-01T00:00:00Z")
    with kubernetes(tmp_path, slow, young, events=(mount, older)) as site:
        causes = Cluster(NAMESPACE).waiting("a-run")
    assert list(map(str, causes)) == ['fetch: cannot start: secret "store" not found']
    (asked,) = [line for line in site.asked if EVENTS in line]
    assert "involvedObject.name%3Djukebox-x-fetch%2Ctype%3DWarning" in asked


def test_a_run_whose_workflow_was_deleted_is_not_said_to_have_ended(here, tmp_path):
    here.dspa.script = Script(states=("RUNNING",), canceled="CANCELING")
    with kubernetes(tmp_path):
        error = fails(here, Exception, "not done within", deadline=1, stop=1)
    (run,) = here.runs()
    said = (
        f"run {run.run_id} was terminated and has not ended in 1 s (it has no pods: its workflow was deleted)"
    )
    assert said in str(error)
    # Its attempt is not lost with it.
    here.dspa.script = Script()
    assert here.submit().run_id != run.run_id


AWAY = pod("evaluate", "Failed", main=ended(1, message="PlatformError: cannot reach the bucket"))
UNSAVED = pod("gate", "Failed", main=ended(1))
BROKEN = pod("validate", "Failed", main=ended(1, message="DataError: column daily_rank is missing"))


def test_a_run_that_failed_for_what_may_pass_is_tried_again_and_passes(here, tmp_path):
    here.dspa.script, here.dspa.on_finish = Script(final="FAILED", failed_task="evaluate"), None
    with kubernetes(tmp_path, AWAY, UNSAVED) as site:

        def get_better(request):
            if request.kind == "retry":
                (run,) = here.runs()
                run.script, here.dspa.on_finish = Script(), here.leave
                site.files[PODS] = listed()

        here.dspa.fault = get_better
        found = here.submit(again=0.01)
    assert found.verdict.passed
    assert here.count("retry") == here.count("create_run") == 1
    told = (
        "evaluate: cannot reach the bucket; gate: ended with code 1; the cause is transient, so it is retried"
    )
    assert any(line.endswith(told) for line in here.said)


def test_what_does_not_pass_is_tried_again_so_many_times_and_no_more(here, tmp_path):
    here.dspa.script, here.dspa.on_finish = Script(final="FAILED", failed_task="evaluate"), None
    with kubernetes(tmp_path, AWAY):
        fails(here, RunFailed, "evaluate: cannot reach the bucket", again=0.01, settle=0.05)
    assert here.count("retry") == 2


@pytest.mark.parametrize("pods", [(AWAY, BROKEN), ()])
def test_what_is_decided_or_not_known_is_final(here, tmp_path, pods):
    here.dspa.script, here.dspa.on_finish = Script(final="FAILED", failed_task="validate"), None
    with kubernetes(tmp_path, *pods):
        fails(here, RunFailed, "validate", again=0.01)
    assert here.count("retry") == 0


def test_a_cancelled_run_is_not_tried_again_and_a_follower_tries_nothing(here, tmp_path):
    here.dspa.script, here.dspa.on_finish = Script(final="CANCELED"), None
    with kubernetes(tmp_path, AWAY):
        fails(here, RunFailed, "was cancelled", again=0.01)
        here.dspa.script = Script(final="FAILED")
        run = here.begin(here.submission("another"))
        with pytest.raises(RunFailed, match="cannot reach the bucket"):
            here.follow(run.run_id, again=0.01)
    assert here.count("retry") == 0


def test_one_trouble_in_two_wordings_is_said_once(here, tmp_path):
    here.dspa.script = Script(never_ends=True)
    wordings = [
        listed(pod("fetch", "Pending", main=waiting(reason, "not found")))
        for reason in ("ErrImagePull", "ImagePullBackOff")
    ]
    with kubernetes(tmp_path) as site:

        def reword(_):
            site.files[PODS] = wordings[here.count("get_run") // 5 % 2]

        here.dspa.fault = reword
        fails(here, Stuck, "fetch: image cannot be pulled: x: not found", pods=0.01, stuck=0.5)
    assert len([line for line in here.said if "cannot be pulled" in line]) == 1


@pytest.mark.parametrize("answer", [b"<html>log in</html>", b"[]", b"{}", b'{"items": [{"metadata": {}}]}'])
def test_an_answer_that_is_not_the_apis_costs_the_reason_only(here, tmp_path, answer):
    here.dspa.script, here.dspa.on_finish = FAILED, None
    with kubernetes(tmp_path) as site:
        site.files[PODS] = answer
        fails(
            here,
            RunFailed,
            r"evidence: validate \(the answer is (not the Kubernetes API's|not a list of pods)",
        )

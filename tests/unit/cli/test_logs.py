"""`jukebox logs` prints what the steps of a run printed: from its folder, its pods, or the DSPA's bucket."""

import json

import pytest
from command import called
from local_runs import make_run
from pods import ended, kubernetes, pod

RUN = "7d7a1f7e-5f0b-4f6b-9d55-3f4e2c1b0a99"
LOCAL = (
    "12:33 - INFO - Running pipeline\n"
    "12:34 - INFO - Executing task \x1b[96m'fetch'\x1b[0m\nfetch: started\nfetch: 5 rows\n"
    "12:35 - INFO - Executing task \x1b[96m'validate'\x1b[0m\nvalidate: started\n  a\x1b[2Jb\n"
)
PODS = [
    pod("fetch", "Succeeded", main=ended(0)),
    pod("fetch", "Succeeded", driver=True, main=ended(0), name="driver"),
    pod("train", "Failed", main=ended(1)),
]
LOGS = {"fetch": "fetch: 5 rows\n", "train": "train: no\n"}


@pytest.fixture
def local(tmp_path):
    make_run(tmp_path / "runs", evidence={})
    (folder,) = (tmp_path / "runs").iterdir()
    (folder / "run.log").write_text(LOCAL)
    return folder


def test_a_run_on_this_machine_is_shown_step_by_step(local, tmp_path):
    done = called("logs", local.name, "--runs", "runs", cwd=tmp_path)
    assert done.stdout.splitlines() == [
        "== fetch",
        "fetch: started",
        "fetch: 5 rows",
        "== validate",
        "validate: started",
        "  a [2Jb",
    ]
    done = called("logs", local.name, "fetch", "--runs", "runs", cwd=tmp_path)
    assert done.stdout.splitlines() == ["fetch: started", "fetch: 5 rows"]


def test_a_step_that_has_not_begun_has_no_log(local, tmp_path):
    done = called("logs", local.name, "train", "--runs", "runs", cwd=tmp_path)
    assert done.returncode == 2
    assert "run.log has no log of step train; has it begun?" in done.stderr


def test_a_run_of_the_dspa_is_shown_from_its_pods(tmp_path):
    env = {"KUBECONFIG": str(tmp_path / "kubeconfig"), "JUKEBOX_NAMESPACE": "ci"}
    with kubernetes(tmp_path, *PODS, logs=LOGS):
        whole = called("logs", RUN, cwd=tmp_path, env=env)
        one = called("logs", RUN, "train", "--json", cwd=tmp_path, env=env)
        none = called("logs", RUN, "save", cwd=tmp_path, env=env)
    assert whole.stdout.splitlines() == ["== fetch", "fetch: 5 rows", "== train", "train: no"]
    assert json.loads(one.stdout) == {"logs": [{"step": "train", "log": "train: no\n"}]}
    assert (none.returncode, none.stderr.count("\n")) == (2, 1)
    assert f"there is no log of step save of run {RUN}: namespace ci has no pod of it" in none.stderr


def test_where_the_pods_are_gone_the_logs_come_from_the_bucket(tmp_path):
    kept = tmp_path / "root" / "jukebox-train" / RUN / "train" / "5f0b"
    kept.mkdir(parents=True)
    (kept / "executor-logs-0").write_text("train: no\n")
    (kept / "model").write_text("a model")
    where = ["--namespace", "ci", "--pipeline-root", str(tmp_path / "root")]
    with kubernetes(tmp_path):
        env = {"KUBECONFIG": str(tmp_path / "kubeconfig")}
        gone = called("logs", RUN, *where, cwd=tmp_path, env=env)
    refused = called("logs", RUN, *where, cwd=tmp_path)
    assert gone.stdout.splitlines() == refused.stdout.splitlines() == ["== train", "train: no"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "--namespace: name the namespace of the DSPA and its runs"),
        (["--namespace", "ci"], 30, "no kubeconfig here; `--pipeline-root s3://…` reads the logs"),
    ],
)
def test_what_is_missing_is_one_line(tmp_path, arguments, code, message):
    done = called("logs", RUN, *arguments, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1)
    assert message in done.stderr

"""Why a step failed or does not start, as its pods say."""

import pytest
from pods import UNSCHEDULABLE, ended, pod, waiting

from ml.dspa.cluster import failure_reason
from ml.dspa.pods import Cause, in_a_line, newest, read_pods

HINT = "of train with `jukebox compile --resources`"
DATA = "DataError: no column: add it"
MINUTES = f"not done in 30 minutes (raise minutes {HINT})"
KILLED = "its pod got SIGTERM: the run was cancelled, or the node was drained"
FAILED = [
    ({"main": ended(1, message=DATA)}, "DataError", "no column: add it"),
    ({"main": ended(137, reason="OOMKilled")}, "OOMKilled", f"OOMKilled at 60Mi (raise memory_limit {HINT})"),
    ({"reason": "DeadlineExceeded"}, "DeadlineExceeded", MINUTES),
    ({"reason": "Evicted", "message": "low on memory"}, "Evicted", "Evicted: low on memory"),
    ({"main": ended(139)}, "", "ended with code 139"),
    ({"main": ended(143)}, "SIGTERM", KILLED),
    ({"init": ended(64, message="no\nthing")}, "", "ended with code 64 in its container init: no thing"),
    ({}, "", "its pod failed and gives no reason"),
]
LONG = 'Back-off pulling image "x": ErrImagePull: rpc error: not found'
NO_SECRET = 'secret "store" not found'
NO_NODE = "cannot be scheduled: 0/1 nodes are available: 1 Insufficient memory."
WAITING = [
    ({"main": waiting("ImagePullBackOff", LONG)}, "ImagePullBackOff", "image cannot be pulled: x: not found"),
    ({"init": waiting("ErrImagePull")}, "ErrImagePull", "image cannot be pulled: x"),
    ({"main": waiting("BadConfig", NO_SECRET)}, "BadConfig", f"cannot start: BadConfig: {NO_SECRET}"),
    (UNSCHEDULABLE, "Unschedulable", NO_NODE),
]


@pytest.mark.parametrize(
    ("phase", "state", "kind", "line"),
    [*(("Failed", *case) for case in FAILED), *(("Pending", *case) for case in WAITING)],
)
def test_a_pod_that_failed_or_cannot_start_says_why(phase, state, kind, line):
    (one,) = read_pods([pod("train", phase, **state)])
    cause, other = one.failed_for(), one.waits_for()
    if phase == "Pending":
        cause, other = other, cause
    assert (cause.step, cause.kind, cause.line, other) == ("train", kind, line, None)


@pytest.mark.parametrize(
    ("node", "step", "driver"),
    [
        ("jukebox-x.root.train(0).executor(1)", "train", False),
        ("jukebox-x.root(0).train.executor", "train", False),
        ("jukebox-x.root.train-driver", "train", True),
        ("jukebox-x.root.train-driver(0)", "train", True),
        ("jukebox-x.root-driver", "", True),
        ("", "", True),
    ],
)
def test_a_pods_place_in_the_workflow_names_its_step(node, step, driver):
    entry = pod("x", "Running")
    entry["metadata"]["annotations"] = {"workflows.argoproj.io/node-name": node}
    (one,) = read_pods([entry])
    assert (one.step, one.driver) == (step, driver)


def test_a_starting_pod_has_no_problem_and_of_several_tries_the_newest_counts_and_a_driver_is_no_try():
    reasons = ("ContainerCreating", "PodInitializing")
    starting = (pod("x", "Pending", main=waiting(reason)) for reason in reasons)
    assert [one.waits_for() for one in read_pods(starting)] == [None, None]
    tries = [
        pod("save", "Succeeded", created="2026-01-01T00:00:02Z"),
        pod("save", "Failed", created="2026-01-01T00:00:01Z"),
        pod("save", "Failed", driver=True, created="2026-01-01T00:00:03Z"),
    ]
    kept = [(one.status.phase, one.driver) for one in newest(read_pods(tries))]
    assert kept == [("Succeeded", False), ("Failed", True)]


LAUNCHER = "F1130 14:21:25.6 14 main.go:60] failed to execute component"


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("train: started\ntrain: the loss is no number\nF main.go] exit status 1\n", "the loss is no number"),
        ("panic: a\n\nlast\n\n", "last"),
        (f"train: 5 rows\n{LAUNCHER}: no bucket\ntime= argo=true\nError: exit status 1\n", "no bucket"),
        (f"train: no number\n{LAUNCHER}: exit status 1\nError: exit status 1\n", "no number"),
        (f"panic: {'a' * 2000}\ntime= argo=true\n", f"panic: {'a' * 993}"),
        ("", ""),
    ],
)
def test_the_reason_in_a_log_is_the_launchers_or_the_steps_own(log, reason):
    assert failure_reason("train", log) == reason


def test_steps_with_the_same_cause_are_grouped():
    lines = [("validate", "no column"), ("x", "y"), ("preprocess", "no column")]
    causes = [Cause(step=step, line=line) for step, line in lines]
    assert in_a_line(causes) == "validate, preprocess: no column; x: y"

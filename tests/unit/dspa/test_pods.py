"""Why a step failed or does not begin, as its pods say."""

import pytest
from pods import UNSCHEDULABLE, ended, pod, waiting

from ml.dspa.cluster import failure_reason
from ml.dspa.pods import Cause, in_a_line, newest, read_pods

FAILED = [
    (
        {"main": ended(1, message="DataError: column daily_rank is missing: add it")},
        ("DataError", "column daily_rank is missing: add it"),
    ),
    (
        {"main": ended(137, reason="OOMKilled")},
        ("OOMKilled", "OOMKilled at 60Mi (raise memory_limit of train with `jukebox compile --resources`)"),
    ),
    (
        {"reason": "DeadlineExceeded", "message": "Pod was active on the node longer than"},
        (
            "DeadlineExceeded",
            "not done in 30 minutes (raise minutes of train with `jukebox compile --resources`)",
        ),
    ),
    ({"reason": "Evicted", "message": "low on memory"}, ("Evicted", "Evicted: low on memory")),
    ({"main": ended(139)}, ("", "ended with code 139")),
    (
        {"main": ended(143)},
        ("SIGTERM", "its pod got SIGTERM: the run was cancelled, or the node was drained"),
    ),
    (
        {"init": ended(64, message="no such\nthing")},
        ("", "ended with code 64 in its container init: no such thing"),
    ),
    ({}, ("", "its pod failed and gives no reason")),
]
WAITING = [
    (
        {
            "main": waiting(
                "ImagePullBackOff", 'Back-off pulling image "x": ErrImagePull: rpc error: not found'
            )
        },
        ("ImagePullBackOff", "image cannot be pulled: x: not found"),
    ),
    ({"init": waiting("ErrImagePull")}, ("ErrImagePull", "image cannot be pulled: x")),
    (
        {"main": waiting("CreateContainerConfigError", 'secret "store" not found')},
        ("CreateContainerConfigError", 'cannot start: CreateContainerConfigError: secret "store" not found'),
    ),
    (
        UNSCHEDULABLE,
        ("Unschedulable", "cannot be scheduled: 0/1 nodes are available: 1 Insufficient memory."),
    ),
]


@pytest.mark.parametrize(("state", "expected"), FAILED)
def test_a_pod_that_failed_says_why(state, expected):
    (found,) = read_pods([pod("train", "Failed", **state)])
    cause = found.failed_for()
    assert (cause.step, cause.kind, cause.line) == ("train", *expected)
    assert found.waits_for() is None


@pytest.mark.parametrize(("state", "expected"), WAITING)
def test_a_pod_that_cannot_begin_says_why(state, expected):
    (found,) = read_pods([pod("train", "Pending", **state)])
    cause = found.waits_for()
    assert (cause.step, cause.kind, cause.line) == ("train", *expected)
    assert found.failed_for() is None


@pytest.mark.parametrize("reason", ["ContainerCreating", "PodInitializing"])
def test_a_pod_that_is_about_to_begin_has_no_trouble(reason):
    (found,) = read_pods([pod("train", "Pending", main=waiting(reason))])
    assert found.waits_for() is None


@pytest.mark.parametrize(
    ("node", "step", "driver"),
    [
        ("jukebox-x.root.train.executor", "train", False),
        ("jukebox-x.root.train(0).executor(1)", "train", False),
        ("jukebox-x.root.train-driver", "train", True),
        ("jukebox-x.root.train-driver(0)", "train", True),
        ("jukebox-x.root(0).train.executor", "train", False),
        ("jukebox-x.root-driver", "", True),
        ("", "", True),
    ],
)
def test_a_pods_place_in_the_workflow_names_its_step(node, step, driver):
    entry = pod("x", "Running")
    entry["metadata"]["annotations"] = {"workflows.argoproj.io/node-name": node}
    (found,) = read_pods([entry])
    assert (found.step, found.driver) == (step, driver)


def test_of_several_tries_the_newest_counts_and_a_driver_is_no_try():
    tries = [
        pod("save", "Succeeded", created="2026-01-01T00:00:02Z"),
        pod("save", "Failed", created="2026-01-01T00:00:01Z"),
        pod("save", "Failed", driver=True, created="2026-01-01T00:00:03Z"),
    ]
    assert [(one.status.phase, one.driver) for one in newest(read_pods(tries))] == [
        ("Succeeded", False),
        ("Failed", True),
    ]


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("train: started\ntrain: the loss is no number\nF main.go] exit status 1\n", "the loss is no number"),
        ("panic: a\n\nlast\n\n", "last"),
        (
            "train: 5 rows (3.2 s)\nI1130 main.go:1] publish success.\n"
            "F1130 14:21:25.6 14 main.go:60] failed to execute component: failed to upload: refused\n"
            'time="x" level=info msg="sub-process exited" argo=true error="<nil>"\nError: exit status 1\n',
            "failed to upload: refused",
        ),
        (
            "train: the loss is no number\n"
            "F1130 14:21:25.6 14 main.go:60] failed to execute component: exit status 1\n"
            "Error: exit status 1\n",
            "the loss is no number",
        ),
        ("", ""),
    ],
)
def test_the_failure_reason_of_a_log_is_the_steps_own(log, expected):
    assert failure_reason("train", log) == expected


def test_steps_with_one_reason_are_named_together():
    causes = [
        Cause(step="validate", line="no column"),
        Cause(step="x", line="y"),
        Cause(step="preprocess", line="no column"),
    ]
    assert in_a_line(causes) == "validate, preprocess: no column; x: y"

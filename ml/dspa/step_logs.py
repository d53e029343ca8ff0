"""The logs of the steps of a run, from its pods or, if those are deleted, from the DSPA's bucket."""

import re

from ml.core.errors import PlatformError, UsageError
from ml.core.kubernetes import NotReadable
from ml.core.settings import PIPELINE
from ml.dspa.cluster import Cluster
from ml.storage.objects import get_object, names_below

MOST = 64 << 20
"""Most bytes of one log."""

KEPT = re.compile(r"([a-z0-9-]+)/[^/]+/executor-logs-\d+")
"""The key of a step's log in the DSPA's bucket, below the folder of its run."""


def step_logs(cluster: Cluster, run_id: str, step: str, root: str) -> list[tuple[str, str]]:
    """Return the logs of a run's steps, each with the step's name, oldest first.

    Args:
        cluster: the cluster with the run's pods.
        run_id: the run.
        step: the step, "" for all.
        root: the DSPA's pipeline root, s3://bucket/prefix, "" if it is not known.

    Raises:
        UsageError: there is no log.
        PlatformError: neither pods nor bucket can be read.
    """
    try:
        pods = [pod for pod in cluster.pods(run_id) if not pod.driver and step in ("", pod.step)]
        logs = [(pod.step, cluster.log(pod)) for pod in pods]
        reason = f"namespace {cluster.namespace} has no pod of it"
    except NotReadable as error:
        logs, reason = [], str(error)
        if not root:
            hint = "`--pipeline-root s3://…` reads the logs from the DSPA's bucket"
            raise PlatformError(f"{reason}; {hint}") from error
    logs = logs or kept_logs(root, run_id, step)
    if not logs:
        which = f"step {step} of run {run_id}" if step else f"run {run_id}"
        raise UsageError(f"there is no log of {which}: {reason}; it may not have started")
    return logs


def kept_logs(root: str, run_id: str, step: str) -> list[tuple[str, str]]:
    """Return the logs in the DSPA's bucket; none without a root.

    Raises:
        PlatformError: the bucket cannot be read.
    """
    if not root:
        return []
    folder = f"{root.rstrip('/')}/{PIPELINE}/{run_id}"
    names = {name: key[1] for name in names_below(folder) if (key := KEPT.fullmatch(name))}
    return [
        (of, (get_object(f"{folder}/{name}", MOST) or b"").decode("utf-8", "replace"))
        for name, of in sorted(names.items())
        if step in ("", of)
    ]

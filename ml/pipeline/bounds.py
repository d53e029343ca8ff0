"""What each step may use of a cluster: CPU, memory, time, tries; and which steps are never cached."""

from typing import NamedTuple

from kfp import dsl, kubernetes


class Bound(NamedTuple):
    """CPU and memory, as request and as limit, and the minutes after which a step has failed."""

    cpu: str
    memory: str
    minutes: int


BOUNDS = {
    "champion": Bound("200m", "512Mi", 10),
    "fetch": Bound("500m", "2Gi", 30),
    "validate": Bound("500m", "2Gi", 15),
    "preprocess": Bound("1", "2Gi", 15),
    "train": Bound("2", "4Gi", 60),
    "evaluate": Bound("1", "3Gi", 30),
    "convert": Bound("1", "2Gi", 15),
    "parity": Bound("1", "2Gi", 15),
    "serving": Bound("1", "2Gi", 15),
    "gate": Bound("200m", "512Mi", 5),
    "save": Bound("200m", "512Mi", 10),
}

RETRIED = ("champion", "fetch", "save")
"""They talk to the world outside the cluster, and may be done twice."""

NEVER_CACHED = ("gate", "save")
"""A verdict is about this run, and a candidate has to be in the store now: neither is ever old."""


def bound(*tasks: dsl.PipelineTask) -> None:
    """Give every step its bounds.

    Raises:
        KeyError: a step has none.
    """
    for task in tasks:
        cpu, memory, minutes = BOUNDS[task.name]
        task.set_cpu_request(cpu).set_cpu_limit(cpu)
        task.set_memory_request(memory).set_memory_limit(memory)
        kubernetes.set_timeout(task, seconds=60 * minutes)
        if task.name in RETRIED:
            task.set_retry(num_retries=2, backoff_duration="5s", backoff_factor=2.0)
        if task.name in NEVER_CACHED:
            task.set_caching_options(enable_caching=False)

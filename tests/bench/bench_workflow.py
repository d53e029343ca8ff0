"""Where the seconds of a run in a DSPA went: into steps, into their pods, or into waiting for the controller.

    python tests/bench/bench_workflow.py NAMESPACE WORKFLOW

It reads the Workflow and its pods through kubectl, before the pods are deleted. A second counts as a step's
while the own container of any step runs, else as a pod's while any pod of the run has not ended (drivers,
scheduling, images, init containers), else as the controller's.
"""

import argparse
import json
import subprocess
from collections.abc import Iterable
from datetime import datetime
from typing import Any

Span = tuple[float, float]


def get(namespace: str, *words: str) -> Any:
    command = ["kubectl", "--namespace", namespace, "get", *words, "--output", "json"]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def span(ran: Any) -> Span:
    first, last = (datetime.fromisoformat(ran[name]).timestamp() for name in ("startedAt", "finishedAt"))
    return first, last


def covered(spans: Iterable[Span]) -> float:
    """Return how many seconds lie in any of the spans."""
    total, end = 0.0, 0.0
    for first, last in sorted(spans):
        total += max(0.0, last - max(first, end))
        end = max(end, last)
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("namespace", help="that of the DSPA and its runs")
    parser.add_argument("workflow", help="of the run, as `kubectl get workflows` lists it")
    given = parser.parse_args()
    status = get(given.namespace, "workflows.argoproj.io", given.workflow)["status"]
    if not status.get("finishedAt"):
        raise SystemExit(f"bench_workflow: {given.workflow} has not ended yet; wait for it")
    label = f"workflows.argoproj.io/workflow={given.workflow}"
    pods = get(given.namespace, "pods", "--selector", label)["items"]
    own = {}
    for pod in pods:
        for container in pod["status"].get("containerStatuses", []):
            if container["name"] == "main" and (ended := container["state"].get("terminated")):
                own[pod["metadata"]["annotations"]["workflows.argoproj.io/node-id"]] = span(ended)
    print("| from, s | pod, s | of which its own container, s | node |\n|--:|--:|--:|---|")
    nodes = [node for node in status["nodes"].values() if node["type"] == "Pod"]
    begun, ended = span(status)
    for node in sorted(nodes, key=lambda node: node["startedAt"]):
        (first, last), inner = span(node), own.get(node["id"])
        ran = f"{inner[1] - inner[0]:.0f}" if inner else "?"
        print(f"| {first - begun:.0f} | {last - first:.0f} | {ran} | {node['displayName']} |")
    steps_of = [node["id"] for node in nodes if not node["displayName"].endswith("-driver")]
    work = [own[node] for node in steps_of if node in own]
    steps, both, whole = covered(work), covered([*map(span, nodes), *work]), ended - begun
    print(f"\n{whole:.0f} s: steps {steps:.0f}, pods {both - steps:.0f}, controller {whole - both:.0f}")


if __name__ == "__main__":
    main()

"""Where the seconds of a run in a DSPA went: into steps, into their pods, or into waiting for the controller.

    python tests/bench/bench_workflow.py NAMESPACE WORKFLOW

It reads the Workflow and its pods through kubectl, before the pods are deleted. A second counts as a step's
while the own container of any step runs, else as a pod's while any pod of the run has not ended (drivers,
scheduling, images, init containers), else as the controller's.
"""

import argparse
import datetime
import json
import subprocess
from collections.abc import Iterable
from typing import Any

Span = tuple[float, float]


def get(namespace: str, *words: str) -> Any:
    command = ["kubectl", "--namespace", namespace, "get", *words, "--output", "json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise SystemExit(f"bench_workflow: kubectl cannot get {words[0]}; is the namespace that of the runs?")
    return json.loads(done.stdout)


def seconds(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()


def covered(spans: Iterable[Span]) -> float:
    """Return how many seconds lie in any of the spans."""
    total, end = 0.0, 0.0
    for first, last in sorted(spans):
        total += max(0.0, last - max(first, end))
        end = max(end, last)
    return total


def own(pod: Any) -> Span | None:
    """Return when the main container of a pod ran, None where it did not."""
    for status in pod["status"].get("containerStatuses", []):
        if status["name"] == "main" and (ended := status["state"].get("terminated")):
            return seconds(ended["startedAt"]), seconds(ended["finishedAt"])
    return None


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
    by_node = {pod["metadata"]["annotations"]["workflows.argoproj.io/node-id"]: pod for pod in pods}
    begun, ended = seconds(status["startedAt"]), seconds(status["finishedAt"])
    there: list[Span] = []
    work: list[Span] = []
    print("| from, s | pod, s | of which its own container, s | node |\n|--:|--:|--:|---|")
    nodes = [node for node in status["nodes"].values() if node["type"] == "Pod"]
    for node in sorted(nodes, key=lambda node: node["startedAt"]):
        span = seconds(node["startedAt"]), seconds(node["finishedAt"])
        inner = own(by_node[node["id"]]) if node["id"] in by_node else None
        there.append(span)
        if inner and not node["displayName"].endswith("-driver"):
            work.append(inner)
        ran = f"{inner[1] - inner[0]:.0f}" if inner else "?"
        print(f"| {span[0] - begun:.0f} | {span[1] - span[0]:.0f} | {ran} | {node['displayName']} |")
    steps, both = covered(work), covered([*there, *work])
    whole = ended - begun
    print(f"\n{whole:.0f} s: steps {steps:.0f}, pods {both - steps:.0f}, controller {whole - both:.0f}")


if __name__ == "__main__":
    main()

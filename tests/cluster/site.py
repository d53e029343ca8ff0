"""An installation in a real cluster: its commits, its runs and what became of them."""

import contextlib
import datetime
import json
import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlparse

from cluster.backends import SERVER, Backend
from cluster.namespaces import Namespace
from tekton.manifests import TEKTON, load

T = TypeVar("T")

COMMIT = """
cd /srv/git/team/jukebox.git
commit=$(git rev-parse main)
if [ -n "$FILE" ]; then
  rm -rf /tmp/change && git clone -q . /tmp/change && cd /tmp/change
  perl -0pi -e 's/\\Q$ENV{OLD}\\E/$ENV{NEW}/' "$FILE"
  git -c user.name=t -c user.email=t@example.org commit -qam change
  commit=$(git rev-parse HEAD) && git push -q origin HEAD:refs/heads/change-$commit
  cd /srv/git/team/jukebox.git
fi
[ -d /srv/git/code/$commit ] || git worktree add -q --detach /srv/git/code/$commit $commit
echo $commit
"""


@dataclass
class Site(Namespace):
    """The namespace of Pipeline and judge, and the pipeline server in another one."""

    backend: Backend
    images: dict[str, str]

    @property
    def runs_namespace(self) -> Namespace:
        """The namespace of the pipeline server and its runs."""
        return self.backend.runs

    def known(self, **parameters: str) -> list[dict]:
        """Return the pipeline server's runs that have these parameters."""
        return [run for run in self.backend.known() if parameters.items() <= run["parameters"].items()]

    def git(self, script: str, **variables: str) -> str:
        """Run a shell script beside the git server."""
        lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
        command = ["exec", f"deploy/{SERVER}", "-c", "git", "--", "sh", "-ec", "\n".join([*lines, script])]
        return self.runs_namespace.kubectl(*command).strip()

    def commit(self, file: str = "", old: str = "", new: str = "") -> str:
        """Commit a change on top of main to the repository in the cluster, and return the commit."""
        return self.git(COMMIT, FILE=file, OLD=old, NEW=new).splitlines()[-1]

    def start(self, revision: str, name: str, **params: str) -> None:
        """Start the Pipeline as `kubectl create` of tekton/runs/by-hand.yaml does."""
        (run,) = load(TEKTON / "runs" / "by-hand.yaml")
        (template,) = load(TEKTON / "overlays" / "kubernetes" / "pod-template.yaml")
        run["metadata"] = {"name": name, "labels": run["metadata"]["labels"]}
        values = {"revision": revision, "cause": "a test of the cluster", **params}
        run["spec"]["params"] = [{"name": key, "value": value} for key, value in values.items()]
        run["spec"]["workspaces"].append({"name": "pip-settings", "configMap": {"name": "jukebox-pip"}})
        run["spec"]["taskRunTemplate"]["podTemplate"] = template
        self.apply(run)

    def cancel(self, name: str) -> None:
        """Cancel a run as `tkn pipelinerun cancel --grace CancelledRunFinally` does."""
        patch = json.dumps({"spec": {"status": "CancelledRunFinally"}})
        self.kubectl("patch", "pipelinerun", name, "--type=merge", "--patch", patch)

    def wait(self, name: str, seconds: float = 1800) -> tuple[str, dict[str, str]]:
        """Wait for a run's end; returns its reason, and how each of its tasks ended."""

        def ended() -> dict | None:
            condition = _condition(self.get("pipelinerun", name).get("status", {}))
            return condition if condition["status"] != "Unknown" else None

        reason, words = until(ended, seconds)["reason"], {"True": "Succeeded", "False": "Failed"}
        tasks = {task: _condition(status)["status"] for task, status in self.task_runs(name).items()}
        return reason, {task: words.get(status, "Running") for task, status in tasks.items()}

    def task_runs(self, run: str) -> dict[str, dict]:
        listed = self.get("taskruns", selector=f"tekton.dev/pipelineRun={run}")["items"]
        label = "tekton.dev/pipelineTask"
        return {task["metadata"]["labels"][label]: task.get("status", {}) for task in listed}

    def logs(self, run: str) -> str:
        chosen = ["--selector", f"tekton.dev/pipelineRun={run}", "--all-containers"]
        return self.kubectl("logs", *chosen, "--tail=-1", "--prefix", check=False)

    def runs(self) -> set[str]:
        return {run["metadata"]["name"] for run in self.get("pipelineruns")["items"]}

    @contextlib.contextmanager
    def store_away(self) -> Iterator[None]:
        """Close the object store to all pods of the runs' namespace, by their network policy."""
        runs, host = self.runs_namespace, urlparse(self.backend.store["AWS_S3_ENDPOINT"]).hostname
        connect = f"timeout 3 bash -c '</dev/tcp/{host}/{self.backend.settings['STORE_PORT']}'"

        def closed() -> bool:
            return self.git(f"{connect} && echo open || echo closed") == "closed"

        def patch(to: list[dict]) -> None:
            change = json.dumps([{"op": "replace", "path": "/spec/egress/0/to", "value": to}])
            runs.kubectl("patch", "networkpolicy", "jukebox-runs", "--type=json", "--patch", change)

        before = runs.get("networkpolicy", "jukebox-runs")["spec"]["egress"][0]["to"]
        assert not closed()
        patch([{"ipBlock": {"cidr": "192.0.2.0/24"}}])
        try:
            # A store that is a pod of the runs' namespace stays open, and cannot be tested so.
            until(closed, 60)
            yield
        finally:
            patch(before)


def seconds(status: dict) -> float:
    """Return how long a run, or a task of it, took."""
    start, end = (datetime.datetime.fromisoformat(status[f"{name}Time"]) for name in ("start", "completion"))
    return (end - start).total_seconds()


def until(ask: Callable[[], T], seconds: float = 300) -> T:
    """Ask until there is an answer, and return it."""
    end = time.monotonic() + seconds
    while not (answer := ask()):
        if time.monotonic() > end:
            raise TimeoutError(f"no answer within {seconds:.0f} s")
        time.sleep(2)
    return answer


def _condition(status: dict) -> dict:
    return (status.get("conditions") or [{"status": "Unknown"}])[0]

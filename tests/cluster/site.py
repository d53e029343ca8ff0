"""An installation in a real cluster: its commits, its runs and what became of them."""

import contextlib
import datetime
import json
import shlex
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlparse

from cluster.backends import SERVER, Backend
from cluster.namespaces import Namespace
from tekton.manifests import TEKTON, load

T = TypeVar("T")


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

    def commit(self, file: str = "", old: str = "", new: str = "") -> str:
        """Commit a change on top of main to the repository in the cluster, and return the commit."""
        script = ["cd /srv/git/team/jukebox.git", "commit=$(git rev-parse main)"]
        if file:
            edit = "s/\\Q$ENV{OLD}\\E/$ENV{NEW}/"
            words = f"OLD={shlex.quote(old)} NEW={shlex.quote(new)}"
            script += [
                "rm -rf /tmp/change && git clone -q . /tmp/change && cd /tmp/change",
                f"{words} perl -0pi -e {shlex.quote(edit)} {file}",
                "git -c user.name=t -c user.email=t@example.org commit -qam change",
                "commit=$(git rev-parse HEAD) && git push -q origin HEAD:refs/heads/change-$commit",
                "cd /srv/git/team/jukebox.git",
            ]
        script += [
            "[ -d /srv/git/code/$commit ] || git worktree add -q --detach /srv/git/code/$commit $commit",
            "echo $commit",
        ]
        command = ["exec", f"deploy/{SERVER}", "-c", "git", "--", "sh", "-ec", "\n".join(script)]
        done = self.runs_namespace.kubectl(*command)
        return done.strip().splitlines()[-1]

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

        return until(ended, seconds)["reason"], self.tasks(name)

    def tasks(self, run: str) -> dict[str, str]:
        """Return how each task of a run has ended, as Tekton says it."""
        words = {"True": "Succeeded", "False": "Failed", "Unknown": "Running"}
        return {name: words[_condition(status)["status"]] for name, status in self._task_runs(run).items()}

    def _task_runs(self, run: str) -> dict[str, dict]:
        found = self.get("taskruns", selector=f"tekton.dev/pipelineRun={run}")["items"]
        label = "tekton.dev/pipelineTask"
        return {task["metadata"]["labels"][label]: task.get("status", {}) for task in found}

    def seconds(self, run: str) -> dict[str, float]:
        """Return how long each task of a run took, and ``all`` of it."""
        ends = self._task_runs(run) | {"all": self.get("pipelinerun", run)["status"]}
        times = datetime.datetime.fromisoformat
        return {
            name: (times(status["completionTime"]) - times(status["startTime"])).total_seconds()
            for name, status in ends.items()
        }

    def logs(self, run: str) -> str:
        chosen = ["--selector", f"tekton.dev/pipelineRun={run}", "--all-containers"]
        return self.kubectl("logs", *chosen, "--tail=-1", "--prefix", check=False)

    def runs(self) -> set[str]:
        return {run["metadata"]["name"] for run in self.get("pipelineruns")["items"]}

    def pod(self, run: str, task: str, seconds: float = 1200) -> str:
        """Wait until a task of a run has a pod, and return the pod's name."""
        selector = f"tekton.dev/pipelineRun={run},tekton.dev/pipelineTask={task}"
        pods = until(lambda: self.get("pods", selector=selector)["items"], seconds)
        return pods[0]["metadata"]["name"]

    @contextlib.contextmanager
    def store_away(self) -> Iterator[None]:
        """Close the object store to all pods of the runs' namespace, by their network policy."""
        runs = self.runs_namespace
        endpoint = urlparse(self.backend.store["AWS_S3_ENDPOINT"])
        connect = f"timeout 3 bash -c '</dev/tcp/{endpoint.hostname}/{self.backend.settings['STORE_PORT']}'"
        probe = ["exec", f"deploy/{SERVER}", "-c", "git", "--", "sh", "-c"]
        probe.append(f"{connect} && echo open || echo closed")

        def patch(to: list[dict]) -> None:
            change = json.dumps([{"op": "replace", "path": "/spec/egress/0/to", "value": to}])
            runs.kubectl("patch", "networkpolicy", "jukebox-runs", "--type=json", "--patch", change)

        before = runs.get("networkpolicy", "jukebox-runs")["spec"]["egress"][0]["to"]
        assert runs.kubectl(*probe).strip() == "open"
        patch([{"ipBlock": {"cidr": "192.0.2.0/24"}}])
        try:
            # A store that is a pod of the runs' namespace stays open, and cannot be tested so.
            until(lambda: runs.kubectl(*probe).strip() == "closed", 60)
            yield
        finally:
            patch(before)

    def python(self, code: str) -> None:
        """Run a few lines with jukebox and the key of the holdout, in a pod of the judge's image."""
        container = {
            "name": "python",
            "image": self.images["judge"],
            "command": ["python", "-c", code],
            "envFrom": [{"secretRef": {"name": "jukebox-holdout"}}],
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        }
        spec = {
            "restartPolicy": "Never",
            "containers": [container],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
            "securityContext": {"runAsUser": 1001, "runAsNonRoot": True},
        }
        name = f"python-{uuid.uuid4().hex[:6]}"
        self.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
        ended = ("Succeeded", "Failed")
        phase = until(lambda: [p for p in [self.get("pod", name)["status"].get("phase")] if p in ended])
        assert phase == ["Succeeded"], self.kubectl("logs", name, check=False)


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

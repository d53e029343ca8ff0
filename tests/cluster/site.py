"""Two namespaces of a real cluster with the overlay applied, and in the runs' one what the cluster lacks."""

import contextlib
import datetime
import json
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import trustme
from cluster.images import PYTHON, Registry
from image.workshop import ROOT
from servers import closed_port
from tekton.world import POLICY

from ml.judge.keys import MANIFEST, make_keys

HOOK = "a-webhook-secret"
TOKENS = {"push": HOOK, "data": "a-data-token", "alert": "an-alert-token"}
KEYS = {
    "AWS_ACCESS_KEY_ID": "someone",
    "AWS_SECRET_ACCESS_KEY": "something",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@dataclass
class Namespace:
    """A namespace, and the way to what is in it."""

    namespace: str

    def kubectl(self, *arguments: object, stdin: str | None = None, check: bool = True) -> str:
        command = ["kubectl", "--namespace", self.namespace, *map(str, arguments)]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0 or not check, f"{command}: {done.stderr}"
        return done.stdout

    def get(self, kind: str, name: str = "", selector: str = "") -> Any:
        words = [kind, *([name] if name else []), *(["--selector", selector] if selector else [])]
        return json.loads(self.kubectl("get", *words, "--output", "json"))

    def apply(self, *objects: dict) -> None:
        listed = {"apiVersion": "v1", "kind": "List", "items": objects}
        self.kubectl("apply", "--filename", "-", stdin=json.dumps(listed))

    def apply_secrets(self, secrets: dict[str, dict[str, str]]) -> None:
        self.apply(
            *(
                {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}
                for name, data in secrets.items()
            )
        )

    def apply_config_map(self, name: str, data: dict[str, str]) -> None:
        self.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})

    @contextlib.contextmanager
    def forwarded(self, target: str, port: int) -> Iterator[str]:
        """Reach a service from here; opened anew for each use, since it ends with any broken connection."""
        local = closed_port()
        command = ["kubectl", "--namespace", self.namespace, "port-forward", target, f"{local}:{port}"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            url = f"http://127.0.0.1:{local}"
            for _ in range(100):
                with contextlib.suppress(requests.RequestException):
                    requests.get(url, timeout=5)
                    break
                time.sleep(0.2)
            yield url
        finally:
            process.terminate()
            process.wait()


@dataclass
class Site(Namespace):
    """The namespace of Pipeline and judge, and ``beside`` it that of the DSPA and its runs."""

    beside: Namespace
    checkout: Path

    @property
    def double(self) -> str:
        """The name of the double's service in the cluster."""
        return f"double.{self.beside.namespace}.svc"

    def known(self) -> dict:
        """Return the runs of the DSPA."""
        with self.beside.forwarded("service/double", 8080) as url:
            return requests.get(url, timeout=30).json()

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
        command = ["exec", "deploy/double", "-c", "git", "--", "sh", "-ec", "\n".join(script)]
        done = self.beside.kubectl(*command)
        return done.strip().splitlines()[-1]

    def start(self, revision: str, name: str, **params: str) -> None:
        """Start the Pipeline as `kubectl create` of tekton/runs/by-hand.yaml does."""
        import yaml

        run = yaml.safe_load((ROOT / "tekton/runs/by-hand.yaml").read_text())
        template = yaml.safe_load((ROOT / "tekton/overlays/kubernetes/pod-template.yaml").read_text())
        run["metadata"] = {"name": name, "labels": run["metadata"]["labels"]}
        values = {"revision": revision, "cause": "a test of the cluster", **params}
        run["spec"]["params"] = [{"name": key, "value": value} for key, value in values.items()]
        run["spec"]["workspaces"].append({"name": "pip-settings", "configMap": {"name": "jukebox-pip"}})
        run["spec"]["taskRunTemplate"]["podTemplate"] = template
        self.apply(run)

    def wait(self, name: str, seconds: float = 1800) -> tuple[str, dict[str, str]]:
        """Wait for a run's end; returns its reason, and how each of its tasks ended."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            status = self.get("pipelinerun", name).get("status", {})
            (condition, *_) = status.get("conditions") or [{"status": "Unknown"}]
            if condition["status"] != "Unknown":
                return condition["reason"], self.tasks(name)
            time.sleep(3)
        raise TimeoutError(f"{name}: {condition}")

    def tasks(self, run: str) -> dict[str, str]:
        found = self.get("taskruns", selector=f"tekton.dev/pipelineRun={run}")["items"]
        words = {"True": "Succeeded", "False": "Failed", "Unknown": "Running"}
        ends = {}
        for task in found:
            (condition, *_) = task.get("status", {}).get("conditions") or [{"status": "Unknown"}]
            ends[task["metadata"]["labels"]["tekton.dev/pipelineTask"]] = words[condition["status"]]
        return ends

    def seconds(self, run: str) -> dict[str, float]:
        """Return how long each task of a run took, and ``all`` of it."""
        found = self.get("taskruns", selector=f"tekton.dev/pipelineRun={run}")["items"]
        named = {task["metadata"]["labels"]["tekton.dev/pipelineTask"]: task["status"] for task in found}
        named["all"] = self.get("pipelinerun", run)["status"]
        return {
            name: (_time(status["completionTime"]) - _time(status["startTime"])).total_seconds()
            for name, status in named.items()
        }

    def logs(self, run: str) -> str:
        selector = f"tekton.dev/pipelineRun={run}"
        return self.kubectl(
            "logs", "--selector", selector, "--all-containers", "--tail=-1", "--prefix", check=False
        )

    def runs(self) -> set[str]:
        return {run["metadata"]["name"] for run in self.get("pipelineruns")["items"]}


def _time(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


@contextlib.contextmanager
def open_site(namespace: str, registry: Registry, images: dict[str, str]) -> Iterator[Site]:
    """Set both namespaces up, and remove them again."""
    site = Site(namespace, Namespace(f"{namespace}-runs"), Path(images["checkout"]))
    both = (namespace, site.beside.namespace)
    try:
        for name in both:
            subprocess.run(["kubectl", "create", "namespace", name], check=True, capture_output=True)
        _double(site, registry, images)
        _overlay(site, registry, images)
        yield site
    finally:
        if not os.environ.get("JUKEBOX_TEST_KEEP"):
            command = ["kubectl", "delete", "--ignore-not-found"]
            rights = [
                f"{kind}/jukebox-listener.{namespace}" for kind in ("clusterrole", "clusterrolebinding")
            ]
            names = [f"namespace/{name}" for name in both]
            subprocess.run([*command, *rights, *names], check=False, capture_output=True)


def _double(site: Site, registry: Registry, images: dict[str, str]) -> None:
    """Deploy the double, with a certificate for its name in the cluster, and the repository beside it."""
    host = site.double
    ca = trustme.CA()
    certificate = ca.issue_cert(host)
    store = {**KEYS, "AWS_S3_ENDPOINT": f"http://{host}:5000"}
    settings = {
        "subject": f"system:serviceaccount:{site.namespace}:jukebox-submit",
        "url": f"https://{host}:8443",
        "secrets": {"jukebox-store": store},
    }
    files = {
        "tls.crt": certificate.cert_chain_pems[0].bytes().decode(),
        "tls.key": certificate.private_key_pem.bytes().decode(),
        "settings.json": json.dumps(settings),
    }
    connections = ("store", "holdout", "judge", "promotion")
    site.apply_secrets(
        {
            **{f"jukebox-{name}": {**store, "AWS_ACCESS_KEY_ID": name} for name in connections},
            "jukebox-webhook": TOKENS,
        }
    )
    made = make_keys(registry.folder / "keys", site.namespace)
    site.kubectl("create", "--filename", made.folder / MANIFEST)
    site.apply_config_map("jukebox-ca", {"dspa.crt": ca.cert_pem.bytes().decode()})
    site.apply_config_map("jukebox-policy", {"policy.yaml": POLICY})
    site.beside.apply_secrets({"double": files, "jukebox-store": store})
    site.beside.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "double"},
            "spec": {
                "selector": {"app": "double"},
                "ports": [{"name": f"p{port}", "port": port} for port in (5000, 8080, 8443, 9418)],
            },
        },
        _deployment(images),
    )
    site.beside.kubectl("rollout", "status", "deployment/double", "--timeout=15m")
    pod = site.beside.get("pods", selector="app=double")["items"][0]["metadata"]["name"]
    bundle = site.checkout / "jukebox.bundle"
    subprocess.run(["git", "bundle", "create", "-q", str(bundle), "main"], cwd=site.checkout, check=True)
    site.beside.kubectl("cp", bundle, f"{pod}:/srv/git/jukebox.bundle", "--container", "git")
    clone = "cd /srv/git && git clone -q --bare --branch main jukebox.bundle team/jukebox.git"
    site.beside.kubectl("exec", pod, "--container", "git", "--", "sh", "-ec", clone)


def _deployment(images: dict[str, str]) -> dict:
    serve = "git daemon --export-all --reuseaddr --base-path=/srv/git /srv/git"
    containers = [
        {
            "name": "double",
            "image": images["double"],
            "command": ["python", "-m", "cluster.double", "/etc/double"],
            # The first word of the service's name is no bucket.
            "env": [{"name": "S3_IGNORE_SUBDOMAIN_BUCKETNAME", "value": "true"}],
            "volumeMounts": [
                {"name": "files", "mountPath": "/etc/double"},
                {"name": "git", "mountPath": "/srv/git"},
                {"name": "tmp", "mountPath": "/tmp"},
            ],
            "readinessProbe": {"httpGet": {"path": "/", "port": 8080}},
        },
        {
            "name": "git",
            "image": images["builder"],
            "command": ["sh", "-c", serve],
            "env": [{"name": "HOME", "value": "/tmp"}],
            "volumeMounts": [
                {"name": "git", "mountPath": "/srv/git"},
                {"name": "tmp", "mountPath": "/tmp"},
            ],
        },
    ]
    volumes = [
        {"name": "files", "secret": {"secretName": "double"}},
        {"name": "git", "emptyDir": {}},
        {"name": "tmp", "emptyDir": {}},
    ]
    security = {"runAsUser": 1001, "runAsNonRoot": True, "fsGroup": 1001}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "double"},
        "spec": {
            "selector": {"matchLabels": {"app": "double"}},
            "template": {
                "metadata": {"labels": {"app": "double"}},
                "spec": {"containers": containers, "volumes": volumes, "securityContext": security},
            },
        },
    }


def _overlay(site: Site, registry: Registry, images: dict[str, str]) -> None:
    """Apply the overlay for Kubernetes as a user would."""
    overlay = write_overlay(site, registry, images)
    secrets = registry.folder / "secrets"
    site.apply_config_map("jukebox-pip", {file.name: file.read_text() for file in secrets.iterdir()})
    site.kubectl("apply", "--validate=strict", "--kustomize", overlay)
    site.kubectl("wait", "eventlistener/jukebox", "--for=condition=Ready", "--timeout=5m")


def write_overlay(site: Site, registry: Registry, images: dict[str, str]) -> Path:
    """Write a copy of the overlay for Kubernetes with a settings.env of one's own; returns its folder."""
    copy = registry.folder / "tekton"
    shutil.copytree(ROOT / "tekton", copy)
    overlay = copy / "overlays" / "kubernetes"
    file = overlay / "kustomization.yaml"
    text = file.read_text()
    file.write_text(text.replace("  # - ../../components/pip-settings", "  - ../../components/pip-settings"))
    ours = {
        "NAMESPACE": site.namespace,
        "RUNS_NAMESPACE": site.beside.namespace,
        "REPOSITORY_URL": f"git://{site.double}/team/jukebox.git",
        "API": "",
        "TOOLS_IMAGE": images["tools"],
        "JUDGE_IMAGE": images["judge"],
        "GIT_IMAGE": images["builder"],
        "BUILDER_IMAGE": images["builder"],
        "BASE_IMAGE": images["base"],
        "BASE_PYTHON": PYTHON,
        "IMAGE_REPOSITORY": registry.repository,
        "REGISTRY_TLS": str(registry.tls).lower(),
        "DSPA_HOST": f"https://{site.double}:8443",
        "RANKINGS": "sample:songs=600,days=7,seed=7",
        "SONGS": "sample:songs=600,days=7,seed=7",
        **{name.upper(): f"s3://bucket/{name}" for name in ("store", "evidence", "holdout", "snapshots")},
        "STORE_PORT": "5000",
        "TESTS": "tests/unit/gate",
        "TIMEOUT": "900",
    }
    settings = overlay / "settings.env"
    lines = settings.read_text().splitlines()
    assert {line.partition("=")[0] for line in lines} >= set(ours)
    kept = [line for line in lines if line.partition("=")[0] not in ours]
    settings.write_text("\n".join([*kept, *(f"{name}={value}" for name, value in ours.items())]) + "\n")
    return overlay

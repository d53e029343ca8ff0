"""Installs jukebox in a real cluster as the guide says, for the time of the tests."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from cluster.backends import SERVER, open_backend
from cluster.images import PYTHON, Registry
from cluster.namespaces import Namespace
from cluster.site import Site
from image.workshop import ROOT
from tekton.world import POLICY

from ml.judge.keys import MANIFEST, make_keys

HOOK = "a-webhook-secret"
TOKENS = {"push": HOOK, "data": "a-data-token", "alert": "an-alert-token"}


@contextlib.contextmanager
def open_site(namespace: str, registry: Registry, images: dict[str, str]) -> Iterator[Site]:
    """Set everything up, and remove it again; what lies in the object store of a real DSPA stays there."""
    owner = Namespace(namespace)
    subprocess.run(["kubectl", "create", "namespace", namespace], check=True, capture_output=True)
    overlay, backend = None, None
    try:
        backend = open_backend(owner, registry)
        site = Site(namespace, backend, images)
        _secrets(site, registry)
        _server(site)
        overlay = write_overlay(site, registry)
        _apply(site, registry, overlay)
        yield site
    finally:
        if not os.environ.get("JUKEBOX_TEST_KEEP"):
            remove = ["kubectl", "delete", "--ignore-not-found", "--wait=false"]
            if overlay:
                subprocess.run([*remove, "--kustomize", str(overlay)], check=False, capture_output=True)
            gone = [f"namespace/{namespace}"]
            if backend and not backend.dspa:
                gone.append(f"namespace/{backend.runs.namespace}")
            elif backend:
                mine = [f"deployment/{SERVER}", f"service/{SERVER}", "secret/jukebox-store"]
                backend.runs.kubectl("delete", "--ignore-not-found", *mine, check=False)
            subprocess.run([*remove, *gone], check=False, capture_output=True)


def _secrets(site: Site, registry: Registry) -> None:
    """Create what the guide has a user create."""
    backend = site.backend
    connections = ("store", "holdout", "judge", "promotion")
    site.apply_secrets(
        {**{f"jukebox-{name}": backend.store for name in connections}, "jukebox-webhook": TOKENS}
    )
    made = make_keys(registry.folder / "keys", site.namespace)
    site.kubectl("create", "--filename", made.folder / MANIFEST)
    site.apply_config_map("jukebox-ca", backend.ca)
    if "ca-bundle.crt" in backend.ca:
        backend.runs.apply_config_map("jukebox-ca", backend.ca)
    site.apply_config_map("jukebox-policy", {"policy.yaml": POLICY})
    backend.runs.apply_secrets({"jukebox-store": backend.store})


def _server(site: Site) -> None:
    """Deploy a git server with the repository, and the double where there is no DSPA."""
    runs = site.runs_namespace
    ports = [9418] if site.backend.dspa else [5000, 8080, 8443, 9418]
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": SERVER}}
    listed = [{"name": f"p{port}", "port": port} for port in ports]
    service["spec"] = {"selector": {"app": SERVER}, "ports": listed}
    runs.apply(service, _deployment(site))
    runs.kubectl("rollout", "status", f"deployment/{SERVER}", "--timeout=15m")
    pods = [found["metadata"] for found in runs.get("pods", selector=f"app={SERVER}")["items"]]
    # One of an earlier test may still be going.
    (pod,) = (found["name"] for found in pods if "deletionTimestamp" not in found)
    checkout = Path(site.images["checkout"])
    bundle = checkout / "jukebox.bundle"
    subprocess.run(["git", "bundle", "create", "-q", str(bundle), "main"], cwd=checkout, check=True)
    runs.kubectl("cp", bundle, f"{pod}:/srv/git/jukebox.bundle", "--container", "git")
    clone = "cd /srv/git && git clone -q --bare --branch main jukebox.bundle team/jukebox.git"
    runs.kubectl("exec", pod, "--container", "git", "--", "sh", "-ec", clone)


def _deployment(site: Site) -> dict:
    serve = "git daemon --export-all --reuseaddr --base-path=/srv/git /srv/git"
    mounts = [{"name": "git", "mountPath": "/srv/git"}, {"name": "tmp", "mountPath": "/tmp"}]
    volumes = [{"name": "git", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}]
    git = {"name": "git", "image": site.images["builder"], "command": ["sh", "-c", serve]}
    containers = [{**git, "env": [{"name": "HOME", "value": "/tmp"}], "volumeMounts": mounts}]
    if not site.backend.dspa:
        double = {"name": "double", "image": site.images["double"]}
        double["command"] = ["python", "-m", "cluster.double", "/etc/double"]
        # The first word of the service's name is no bucket.
        double["env"] = [{"name": "S3_IGNORE_SUBDOMAIN_BUCKETNAME", "value": "true"}]
        double["volumeMounts"] = [*mounts, {"name": "files", "mountPath": "/etc/double"}]
        double["readinessProbe"] = {"httpGet": {"path": "/", "port": 8080}}
        containers.append(double)
        volumes.append({"name": "files", "secret": {"secretName": "double"}})
    security = {"runAsUser": 1001, "runAsNonRoot": True, "fsGroup": 1001}
    pod = {"containers": containers, "volumes": volumes, "securityContext": security}
    template = {"metadata": {"labels": {"app": SERVER}}, "spec": pod}
    spec = {"selector": {"matchLabels": {"app": SERVER}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": SERVER}, "spec": spec}


def _apply(site: Site, registry: Registry, overlay: Path) -> None:
    """Apply the overlay as a user would."""
    files = registry.secrets.iterdir()
    site.apply_config_map("jukebox-pip", {file.name: file.read_text() for file in files})
    # Its objects name their namespaces, which are two.
    command = ["kubectl", "apply", "--validate=strict", "--kustomize", str(overlay)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    site.kubectl("wait", "eventlistener/jukebox", "--for=condition=Ready", "--timeout=5m")


def write_overlay(site: Site, registry: Registry) -> Path:
    """Write a copy of the overlay for Kubernetes with a settings.env of one's own; returns its folder."""
    copy = registry.folder / "tekton"
    shutil.copytree(ROOT / "tekton", copy)
    overlay = copy / "overlays" / "kubernetes"
    file = overlay / "kustomization.yaml"
    text = file.read_text()
    file.write_text(text.replace("  # - ../../components/pip-settings", "  - ../../components/pip-settings"))
    images = site.images
    ours = {
        **site.backend.settings,
        "NAMESPACE": site.namespace,
        "REPOSITORY_URL": f"git://{SERVER}.{site.runs_namespace.namespace}.svc/team/jukebox.git",
        "API": "",
        "TOOLS_IMAGE": images["tools"],
        "JUDGE_IMAGE": images["judge"],
        "GIT_IMAGE": images["builder"],
        "BUILDER_IMAGE": images["builder"],
        "BASE_IMAGE": images["base"],
        "BASE_PYTHON": PYTHON,
        "IMAGE_REPOSITORY": registry.repository,
        "REGISTRY_TLS": str(registry.tls).lower(),
        "DATA": "sample:songs=600,days=7,seed=7",
        "TESTS": "tests/unit/gate",
        "TIMEOUT": "900",
    }
    settings = overlay / "settings.env"
    files = (settings, copy / "settings" / "defaults" / "settings.env")
    assert {line.partition("=")[0] for file in files for line in file.read_text().splitlines()} >= set(ours)
    settings.write_text("".join(f"{name}={value}\n" for name, value in ours.items()))
    return overlay

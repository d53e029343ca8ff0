"""Installs jukebox in a real cluster as the guide says, for the time of the tests."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from base_image import PYTHON
from cluster.backends import SERVER, open_backend
from cluster.images import Registry
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
    owner, gone = Namespace(namespace), [["namespace", namespace]]
    owner.kubectl("create", "namespace", namespace)
    try:
        site = Site(namespace, open_backend(owner), images)
        runs = site.runs_namespace.namespace
        mine = ["--namespace", runs, f"deployment/{SERVER}", f"service/{SERVER}", "secret/jukebox-store"]
        gone.append(mine if site.backend.dspa else ["namespace", runs])
        _secrets(site, registry)
        _server(site)
        overlay = write_overlay(site, registry)
        gone.insert(0, ["--kustomize", str(overlay)])
        files = registry.secrets.iterdir()
        site.apply_config_map("jukebox-pip", {file.name: file.read_text() for file in files})
        # Without a namespace: the objects name theirs, which are two.
        registry.output("kubectl", "apply", "--validate=strict", "--kustomize", overlay)
        site.kubectl("wait", "eventlistener/jukebox", "--for=condition=Ready", "--timeout=5m")
        yield site
    finally:
        for words in [] if os.environ.get("JUKEBOX_TEST_KEEP") else gone:
            subprocess.run(["kubectl", "delete", "--ignore-not-found", "--wait=false", *words], check=False)


def _secrets(site: Site, registry: Registry) -> None:
    """Create what the guide has a user create."""
    backend = site.backend
    stores = {f"jukebox-{name}": backend.store for name in ("store", "holdout", "judge", "promotion")}
    site.apply_secrets({**stores, "jukebox-webhook": TOKENS})
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
    spec = {"selector": {"app": SERVER}, "ports": [{"name": f"p{port}", "port": port} for port in ports]}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": SERVER}, "spec": spec}
    runs.apply(service, _deployment(site))
    runs.kubectl("rollout", "status", f"deployment/{SERVER}", "--timeout=15m")
    pods = [pod["metadata"] for pod in runs.get("pods", selector=f"app={SERVER}")["items"]]
    # One of an earlier test may still be going.
    (pod,) = (about["name"] for about in pods if "deletionTimestamp" not in about)
    checkout = Path(site.images["checkout"])
    subprocess.run(["git", "bundle", "create", "-q", "jukebox.bundle", "main"], cwd=checkout, check=True)
    runs.kubectl("cp", checkout / "jukebox.bundle", f"{pod}:/srv/git/jukebox.bundle", "--container", "git")
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


def write_overlay(site: Site, registry: Registry) -> Path:
    """Write a copy of the overlay for Kubernetes with a settings.env of one's own; returns its folder."""
    copy = shutil.copytree(ROOT / "tekton", registry.folder / "tekton")
    overlay = copy / "overlays" / "kubernetes"
    file, component = overlay / "kustomization.yaml", "- ../../components/pip-settings"
    file.write_text(file.read_text().replace(f"  # {component}", f"  {component}"))
    images, runs = site.images, site.runs_namespace.namespace
    ours = {**site.backend.settings, "NAMESPACE": site.namespace, "API": "", "TIMEOUT": "900"}
    ours |= {"TOOLS_IMAGE": images["tools"], "JUDGE_IMAGE": images["judge"], "BASE_IMAGE": images["base"]}
    ours |= {"GIT_IMAGE": images["builder"], "BUILDER_IMAGE": images["builder"], "BASE_PYTHON": PYTHON}
    ours |= {"IMAGE_REPOSITORY": registry.repository, "REGISTRY_TLS": str(registry.tls).lower()}
    ours |= {"DATA": "sample:songs=600,days=7,seed=7", "TESTS": "tests/unit/gate"}
    ours["REPOSITORY_URL"] = f"git://{SERVER}.{runs}.svc/team/jukebox.git"
    settings = overlay / "settings.env"
    files = (settings, copy / "settings" / "defaults" / "settings.env")
    assert {line.partition("=")[0] for file in files for line in file.read_text().splitlines()} >= set(ours)
    settings.write_text("".join(f"{name}={value}\n" for name, value in ours.items()))
    return overlay

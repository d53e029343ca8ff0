"""Pods of a run as the Kubernetes API returns them, and a server of that API."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from servers import Site, serving

NAMESPACE = "ci"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
EVENTS = f"/api/v1/namespaces/{NAMESPACE}/events"


def pod(
    step: str,
    phase: str,
    *,
    main: Any = None,
    init: Any = None,
    driver: bool = False,
    created: str = "2020-01-01T00:00:00Z",
    name: str = "",
    **status: Any,
) -> dict[str, Any]:
    """Return a pod of a step; ``main`` and ``init`` are the states of its containers."""
    place = f"{step}-driver" if driver else f"{step}.executor"
    status["containerStatuses"] = [{"name": "main", "image": "x", "state": main}] if main else []
    status["initContainerStatuses"] = [{"name": "init", "image": "x", "state": init}] if init else []
    return {
        "metadata": {
            "name": name or f"jukebox-x-{step}",
            "creationTimestamp": created,
            "annotations": {"workflows.argoproj.io/node-name": f"jukebox-x.root.{place}"},
        },
        "spec": {
            "activeDeadlineSeconds": 1800,
            "containers": [{"name": "main", "resources": {"limits": {"memory": "60Mi"}}}],
        },
        "status": {"phase": phase, **status},
    }


def ended(code: int = 1, **more: Any) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, **more}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


NO_ROOM = {"reason": "Unschedulable", "message": "0/1 nodes are available: 1 Insufficient memory."}
UNSCHEDULABLE = {"conditions": [{"type": "PodScheduled", "status": "False", **NO_ROOM}]}


@contextlib.contextmanager
def kubernetes(
    home: Path, *pods: dict[str, Any], logs: dict[str, str] | None = None, events: tuple[Any, ...] = ()
) -> Iterator[Site]:
    """Serve pods, logs by step, and events; ``home/kubeconfig`` is for this server."""
    site = Site(files={PODS: listed(*pods), EVENTS: listed(*events)})
    for step, text in (logs or {}).items():
        site.files[f"{PODS}/jukebox-x-{step}/log"] = text.encode()
    with serving(site):
        kubeconfig(home, site.url)
        yield site


def kubeconfig(home: Path, url: str) -> None:
    """Write ``home/kubeconfig`` for a server."""
    content = {
        "current-context": "x",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "a-token"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    }
    (home / "kubeconfig").write_text(yaml.safe_dump(content))


def listed(*items: dict[str, Any]) -> bytes:
    return json.dumps({"items": items}).encode()

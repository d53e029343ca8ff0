"""What the steps that reach outside the pipeline get from the cluster: the store's claim, its keys, the CA.

The graph is one and the same whatever is mounted: `mounted` says what, around its tracing, and the graph
says where, with `mount`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from kfp import dsl, kubernetes

from ml.core.settings import STORE_MOUNT, Mounts

KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_S3_ENDPOINT", "AWS_DEFAULT_REGION")
"""The keys of a data connection that `ml.storage.objects` reads; each must be in the secret, maybe blank."""

CA_MOUNT = "/mnt/jukebox-ca"
CA_FILE = f"{CA_MOUNT}/ca-bundle.crt"
CA_VARIABLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
"""The first is read for s3://, the second for https://."""

_now: ContextVar[Mounts] = ContextVar("mounts")


@contextmanager
def mounted(mounts: Mounts) -> Iterator[None]:
    """Trace a graph with these mounts."""
    token = _now.set(mounts)
    try:
        yield
    finally:
        _now.reset(token)


def mount(*tasks: dsl.PipelineTask) -> None:
    """Give steps what `mounted` has; nothing outside of it."""
    mounts = _now.get(Mounts())
    for task in tasks:
        if mounts.store_pvc:
            kubernetes.mount_pvc(task, mounts.store_pvc, STORE_MOUNT)
        if mounts.store_secret:
            kubernetes.use_secret_as_env(task, mounts.store_secret, {key: key for key in KEYS})
        if mounts.ca_config_map:
            kubernetes.use_config_map_as_volume(task, mounts.ca_config_map, CA_MOUNT)
            for name in CA_VARIABLES:
                task.set_env_variable(name, CA_FILE)


def for_any_server(platform: Any) -> Any:
    """Leave out of a platform spec what kfp writes a second time, for new servers only.

    kfp 2.17 names each claim, secret and config map twice (``secretName``, and ``secretNameParameter``),
    and writes ``optional: false``. Servers before KFP 2.5 refuse a field that they do not know; newer ones
    read the old one where the new one is missing.
    """
    if isinstance(platform, list):
        return [for_any_server(item) for item in platform]
    if not isinstance(platform, dict):
        return platform
    return {
        key: for_any_server(value)
        for key, value in platform.items()
        if not key.endswith("NameParameter") and (key, value) != ("optional", False)
    }

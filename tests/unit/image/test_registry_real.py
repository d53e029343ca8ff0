"""The look-up against a real registry."""

import json
import shutil

import pytest
import requests
from docker_registry import registry_server
from registries import (
    NAME,
    TAG,
)

from ml.image.registry import Registry


@pytest.fixture
def real(tmp_path):
    if not shutil.which("docker-registry"):
        pytest.skip("no docker-registry; install it: apt-get install docker-registry")
    with registry_server(tmp_path) as host:
        yield host


def test_a_real_registry(real):
    registry = Registry(insecure=True)
    assert registry.digest(f"{real}/{NAME}:{TAG}") is None
    kind = "application/vnd.oci.image.index.v1+json"
    manifest = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": []})
    url = f"http://{real}/v2/{NAME}/manifests/{TAG}"
    put = requests.put(url, data=manifest, headers={"Content-Type": kind}, timeout=5)
    assert put.status_code == 201, put.text
    assert registry.digest(f"{real}/{NAME}:{TAG}") == put.headers["Docker-Content-Digest"]
    assert registry.digest(f"{real}/{NAME}:other") is None

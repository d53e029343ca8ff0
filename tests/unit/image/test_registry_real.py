"""The look-up against a real registry."""

import contextlib
import json
import shutil
import subprocess
import time

import pytest
import requests
from registries import (
    NAME,
    TAG,
)
from servers import closed_port

from ml.image.registry import Registry


@pytest.fixture
def real(tmp_path):
    if not shutil.which("docker-registry"):
        pytest.skip("no docker-registry; install it: apt-get install docker-registry")
    host = f"127.0.0.1:{closed_port()}"
    (tmp_path / "config.yml").write_text(
        f"version: 0.1\nlog: {{level: error}}\nhttp: {{addr: '{host}'}}\n"
        f"storage: {{filesystem: {{rootdirectory: {tmp_path / 'images'}}}}}\n"
    )
    command = ["docker-registry", "serve", str(tmp_path / "config.yml")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with contextlib.suppress(requests.ConnectionError):
                requests.get(f"http://{host}/v2/", timeout=5)
                break
            time.sleep(0.1)
        yield host
    finally:
        process.terminate()
        process.wait()


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

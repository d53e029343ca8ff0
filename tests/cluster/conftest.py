"""A real cluster with Tekton: that of the current kubeconfig, with images from JUKEBOX_TEST_REGISTRY."""

import os
import shutil
import subprocess
import uuid

import pytest
from cluster.images import NEEDED, build_all, open_registry
from cluster.installation import open_site


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """An installation of the work tree in the cluster; JUKEBOX_TEST_KEEP=1 leaves it there.

    Runs go to the DSPA that JUKEBOX_TEST_DSPA=namespace/name names, or to a double (`cluster.backends`).

    The cluster's network must enforce NetworkPolicies: measure refuses to run a model where DNS answers.
    """
    lacking = [name for name in NEEDED if not shutil.which(name)]
    if lacking:
        pytest.fail(f"apt-get install {' '.join(lacking)}")
    repository = os.environ.get("JUKEBOX_TEST_REGISTRY", "")
    if not repository:
        pytest.fail(
            "JUKEBOX_TEST_REGISTRY=registry.example:5000/jukebox: nodes must reach it, as this machine"
        )
    # Tekton's Pipelines and Triggers must be there.
    crds = ("pipelines.tekton.dev", "eventlisteners.triggers.tekton.dev")
    subprocess.run(["kubectl", "get", "crd", *crds], check=True)
    tls = os.environ.get("JUKEBOX_TEST_REGISTRY_TLS", "true").lower() == "true"
    registry = open_registry(repository, tls, tmp_path_factory.mktemp("cluster"))
    images = build_all(registry, double="JUKEBOX_TEST_DSPA" not in os.environ)
    with open_site(f"jukebox-test-{uuid.uuid4().hex[:6]}", registry, images) as opened:
        yield opened

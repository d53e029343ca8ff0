"""A world to submit in, without the AWS_*, JUKEBOX_* and Kubernetes settings of this machine."""

import os

import pytest
from dspa_command import TOKEN
from dspa_server import Dspa, serving
from pods import kubernetes
from submissions import world


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith(("AWS_", "JUKEBOX_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))


@pytest.fixture
def here(tmp_path):
    with world(tmp_path) as served:
        yield served


@pytest.fixture
def dspa():
    with serving(Dspa(tokens={TOKEN})) as served:
        yield served


@pytest.fixture
def cluster(tmp_path):
    with kubernetes(tmp_path) as site:
        yield site

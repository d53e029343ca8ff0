"""A checkout to build from, and registries."""

import os
import shutil
from pathlib import Path

import pytest
from checkouts import ROOT
from docker_registry import registry_server
from registries import serving_registry

from ml.image.key import FILES


@pytest.fixture(autouse=True)
def plain_environment(tmp_path, monkeypatch):
    """No settings of the user who runs the tests, and no repository around them."""
    for name in os.environ.copy():
        if name.startswith(("JUKEBOX_", "PIP_", "REQUESTS_CA_BUNDLE")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))


@pytest.fixture
def tree(tmp_path) -> Path:
    """The files of this checkout that an image is built from, with one module of the package."""
    for name in (*FILES, ".gitignore", "LICENSE", "pyproject.toml", "ml/core/version.py"):
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        # Without modes: a checkout may be read-only.
        shutil.copyfile(ROOT / name, tmp_path / "tree" / name)
    return tmp_path / "tree"


@pytest.fixture
def double():
    with serving_registry() as double:
        yield double


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """A real registry."""
    if not shutil.which("docker-registry"):
        pytest.skip("no docker-registry; install it: apt-get install docker-registry")
    with registry_server(tmp_path_factory.mktemp("registry")) as where:
        yield where

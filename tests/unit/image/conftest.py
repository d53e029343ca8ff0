"""A checkout to build from, a fake engine, and registries."""

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from checkouts import ROOT, commit_all
from docker_registry import registry_server
from registries import serving_registry

from ml.image.key import default_base, native_architecture

TREE = (".gitignore", "Containerfile", "LICENSE", "pyproject.toml", "ml/core/version.py")
TREE += ("ml/image/install.sh", "ml/image/slim.py")


@dataclass(frozen=True)
class Fake:
    """Fake engines in a folder, and the record of their calls."""

    home: Path

    @property
    def calls(self) -> list[list[str]]:
        """All calls, each with the engine's name first."""
        record = self.home / "calls.jsonl"
        return [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []

    def called(self, verb: str) -> list[list[str]]:
        return [call for call in self.calls if call[1] == verb]

    @property
    def built(self) -> list[str]:
        """The stages that were built, in their order."""
        return [call[call.index("--target") + 1] for call in self.called("build")]

    @property
    def seen(self) -> dict:
        """What the last build read: secrets, their modes, the context's files."""
        return json.loads((self.home / "seen.json").read_text())

    def install(self, name: str) -> None:
        program, fake = self.home / "bin" / name, Path(__file__).with_name("fake_engine.py")
        program.write_text(f"#!/bin/sh\nexec '{sys.executable}' -IS '{fake}' '{self.home}' {name} \"$@\"\n")
        program.chmod(0o755)

    def behave(self, **changes: object) -> None:
        changes = {"architecture": native_architecture(), **changes}
        (self.home / "behaviour.json").write_text(json.dumps(changes))

    def hold(self, reference: str, shelf: str = "held") -> None:
        (self.home / shelf / reference.replace("/", "%")).touch()


@pytest.fixture(autouse=True)
def plain_environment(tmp_path, monkeypatch):
    """No settings of the user who runs the tests, and no repository around them."""
    for name in os.environ.copy():
        if name.startswith(("JUKEBOX_", "PIP_", "REQUESTS_CA_BUNDLE")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))


@pytest.fixture
def no_engine(tmp_path, monkeypatch) -> Fake:
    """PATH with git and without an engine."""
    fake = Fake(tmp_path / "engine")
    for name in ("bin", "held", "registry"):
        (fake.home / name).mkdir(parents=True)
    for name in ("git", "setpriv"):
        if program := shutil.which(name):
            (fake.home / "bin" / name).symlink_to(program)
    fake.behave()
    monkeypatch.setenv("PATH", str(fake.home / "bin"))
    return fake


@pytest.fixture
def tree(tmp_path) -> Path:
    """The files of this checkout that an image is built from, with one module of the package."""
    for name in (*TREE, *(f"requirements/{path.name}" for path in (ROOT / "requirements").glob("*.txt"))):
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        # Without modes: a checkout may be read-only.
        shutil.copyfile(ROOT / name, tmp_path / "tree" / name)
    (tmp_path / "tree/README.md").write_text("# docs\n")
    return tmp_path / "tree"


@pytest.fixture
def checkout(tree) -> Path:
    """The tree, committed."""
    commit_all(tree)
    return tree


@pytest.fixture
def fake(no_engine, checkout) -> Fake:
    """Podman with the base image of the checkout."""
    no_engine.install("podman")
    no_engine.hold(default_base(checkout))
    return no_engine


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

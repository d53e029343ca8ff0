"""A checkout to build from, and an engine that only seems to build."""

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from checkouts import ROOT, commit_all
from registries import Shelf, serving_registry

from ml.image.key import default_base, native_architecture

FAKE = Path(__file__).with_name("fake_engine.py")


@dataclass(frozen=True)
class Fake:
    """Fake engines in a folder of their own, the only ones on ``path``."""

    home: Path

    @property
    def path(self) -> str:
        return str(self.home / "bin")

    @property
    def calls(self) -> list[list[str]]:
        """All calls, each with the engine's name first."""
        record = self.home / "calls.jsonl"
        return [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []

    @property
    def built(self) -> list[str]:
        """The stages that were built, in their order."""
        return [call[call.index("--target") + 1] for call in self.calls if call[1] == "build"]

    @property
    def seen(self) -> dict:
        """What the last build found: secrets, their modes, the context's files."""
        return json.loads((self.home / "seen.json").read_text())

    def install(self, name: str) -> None:
        script = self.home / "bin" / name
        script.write_text(f"#!/bin/sh\nexec '{sys.executable}' -IS '{FAKE}' '{self.home}' {name} \"$@\"\n")
        script.chmod(0o755)

    def tell(self, **changes: object) -> None:
        told = {"architecture": native_architecture(), "broken": "", "says": "", "hangs_at": ""}
        (self.home / "told.json").write_text(
            json.dumps({**told, "refuses_push": False, "missing": "manifest unknown", "busy": 0, **changes})
        )

    def hold(self, reference: str, shelf: str = "held") -> None:
        (self.home / shelf / reference.replace("/", "%")).touch()


@pytest.fixture(autouse=True)
def plain_environment(tmp_path, monkeypatch):
    """No settings of whoever runs the tests, and no repository around them."""
    for name in [name for name in os.environ if name.startswith(("JUKEBOX_", "PIP_"))]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))


@pytest.fixture
def no_engine(tmp_path) -> Fake:
    """A path with git and without an engine; the machine's own are out of reach."""
    home = tmp_path / "engine"
    for name in ("bin", "held", "registry"):
        (home / name).mkdir(parents=True)
    for name in ("git", "setpriv"):
        found = shutil.which(name)
        if found:
            (home / "bin" / name).symlink_to(found)
    fake = Fake(home)
    fake.tell()
    return fake


@pytest.fixture
def tree(tmp_path) -> Path:
    """What an image is built from, as it is in this checkout, but for most of the code."""
    folder = tmp_path / "tree"
    names = (
        ".gitignore",
        "Containerfile",
        "LICENSE",
        "pyproject.toml",
        "ml/image/install.sh",
        "ml/image/slim.py",
        "ml/core/version.py",
    )
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    (folder / "README.md").write_text("# docs\n")
    # Not with its modes: a checkout may be read-only.
    shutil.copytree(ROOT / "requirements", folder / "requirements", copy_function=shutil.copyfile)
    (folder / "requirements").chmod(0o755)
    return folder


@pytest.fixture
def repository(tmp_path) -> Path:
    """A small checkout with one commit."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "song.txt").write_text("la\n")
    commit_all(folder)
    return folder


@pytest.fixture
def checkout(tree) -> Path:
    """The tree, committed."""
    commit_all(tree)
    return tree


@pytest.fixture
def fake(no_engine, checkout, monkeypatch) -> Fake:
    """Podman with the base that the checkout names, and no other engine in reach."""
    no_engine.install("podman")
    no_engine.hold(default_base(checkout))
    monkeypatch.setenv("PATH", no_engine.path)
    return no_engine


@pytest.fixture
def shelf():
    with serving_registry(Shelf()) as found:
        yield found

"""Podman and buildah through the calls that both support."""

import json
import signal
import subprocess

import pytest

from ml.core.errors import PlatformError, RunFailed, UsageError
from ml.image.engine import BUSY, Engine, Image, find_engine, is_absent

IMAGE, ID = "localhost/jukebox/tools:1", f"sha256:{'a' * 64}"
PODMAN = ("podman", "image inspect", [{"Architecture": "s390x", "Digest": "x"}])
BUILDAH = ("buildah", "inspect --type image", {"OCIv1": {"architecture": "s390x"}})


class Programs:
    """The only programs on PATH: each records its arguments, and runs a script."""

    def __init__(self, folder) -> None:
        self.folder = folder
        folder.mkdir()

    def install(self, name: str, script: str = "") -> None:
        (self.folder / name).write_text(f'#!/bin/sh\necho "$*" >> {self.folder}/calls\n{script}\n')
        (self.folder / name).chmod(0o755)

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def programs(tmp_path, monkeypatch) -> Programs:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return Programs(tmp_path / "bin")


@pytest.fixture
def engine(tmp_path) -> Engine:
    return Engine("buildah", tmp_path / "build.log")


def failure(kind, function, *arguments) -> str:
    with pytest.raises(kind) as caught:
        function(*arguments)
    return str(caught.value)


def test_the_named_engine_is_used_or_the_first_that_is_installed(programs, tmp_path):
    said = failure(UsageError, find_engine, None, tmp_path)
    assert said.startswith("neither podman nor buildah is installed; install it: apt-get install podman, or")
    assert failure(UsageError, find_engine, "docker", tmp_path) == "--engine docker: use podman or buildah"
    programs.install("podman")
    said = failure(UsageError, find_engine, "buildah", tmp_path)
    assert said.startswith("buildah is not installed; install it: apt-get install buildah, or dnf")
    programs.install("buildah")
    assert [find_engine(name, tmp_path).name for name in (None, "buildah")] == ["podman", "buildah"]


@pytest.mark.parametrize(("name", "inspect", "document"), [PODMAN, BUILDAH])
def test_an_image_is_inspected_pulled_and_pushed(programs, tmp_path, name, inspect, document):
    engine, inspected = Engine(name, tmp_path / "build.log"), f"*) echo '{json.dumps(document)}'"
    programs.install(
        name, f"case $1 in images) echo {ID} 12.3 MB;; push) echo {ID} > $4;; {inspected};; esac"
    )
    assert engine.inspect(IMAGE) == Image(ID, "s390x", "12.3 MB")
    assert (engine.pull(IMAGE), engine.push(IMAGE)) == ("", ID)
    images, pull = f"images --format {{{{.Digest}}}} {{{{.Size}}}} {IMAGE}", f"pull --quiet {IMAGE}"
    assert programs.calls[:3] == [f"{inspect} {IMAGE}", images, pull]
    assert programs.calls[3].endswith(IMAGE)
    programs.install(name, "printf 'Trying to pull\\nError: denied\\nmore\\n' >&2; exit 125")
    assert (engine.inspect(IMAGE), engine.pull(IMAGE)) == (None, "Error: denied")
    assert failure(PlatformError, engine.push, IMAGE) == f"cannot push {IMAGE}: Error: denied"
    programs.install(name, "echo time=1 >&2; exit 125")
    assert engine.pull(IMAGE) == "time=1"


def test_some_errors_mean_that_the_image_does_not_exist():
    errors = "Manifest Unknown|name unknown|404 Not Found|401 Unauthorized|authentication required|denied"
    assert all(is_absent(f"Error: {error}") for error in errors.split("|"))
    assert not is_absent("Error: connection refused")


def test_a_build_reads_the_context_and_logs_all_output(programs, engine, tmp_path):
    programs.install("buildah", "pwd; echo more >&2")
    for option in ("--no-cache", f"--tag={IMAGE}"):
        engine.build(tmp_path / "bin", "tools", [option])
        command = f"build --target tools --layers --pull=never {option} --file Containerfile ."
        assert programs.calls[-1] == command
    assert engine.log.read_text() == f"== tools\n{tmp_path}/bin\nmore\n" * 2


@pytest.mark.parametrize(
    ("says", "line", "tries"),
    [
        ("pip: hm\nERROR: no hash\nmore\nError: building at STEP 3: exit status 1", "ERROR: no hash", 1),
        ("something\nthe last words", "the last words", 1),
        (BUSY, BUSY, 3),
    ],
)
def test_a_failed_build_shows_its_own_first_error(programs, engine, tmp_path, says, line, tries):
    """It is tried again if it is the kernel that refused it."""
    engine.log.write_text("Error: of another build\n")
    programs.install("buildah", f"echo '{says}'; exit 1")
    said = failure(RunFailed, engine.build, tmp_path, "code", [])
    assert (said, len(programs.calls)) == (f"building code failed: {line} (log: {engine.log})", tries)


def test_an_interrupted_build_ends_the_engine(programs, engine, tmp_path, monkeypatch):
    children = []

    def interrupted(child):
        children.append(child)
        monkeypatch.undo()
        raise KeyboardInterrupt

    programs.install("buildah", "exec /bin/sleep 100")
    monkeypatch.setattr(subprocess.Popen, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        engine.build(tmp_path, "code", [])
    assert children[0].returncode == -signal.SIGTERM

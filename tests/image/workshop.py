"""Where images are built and run: a storage, a registry and a base of its own, restricted as by OpenShift."""

import contextlib
import hashlib
import json
import os
import random
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
from base_image import PYTHON, base_tar
from docker.errors import DockerException
from docker.types import Ulimit
from docker_registry import process, registry_server
from processes import wait_for
from servers import closed_port

ROOT = Path(__file__).parents[2]
NEEDED = ("podman", "buildah", "mmdebstrap", "docker-registry", "runc")
BASE = "localhost/base:bookworm"
REMOTE = "https://someone:s3cr3t@git.example/team/jukebox"
RESTRICTED = {
    "user": f"{random.SystemRandom().randrange(1_000_000_000, 1_001_000_000)}:0",
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "network_mode": "none",
    # With a read-only root, podman makes two more folders that anyone may write; Kubernetes does not.
    "tmpfs": {"/tmp": "rw,nosuid,nodev,mode=1777,size=1g", "/var/tmp": "ro", "/run": "ro"},
    # A small machine refuses podman's own defaults.
    "ulimits": [Ulimit(name="nofile", soft=1024, hard=4096), Ulimit(name="nproc", soft=1024, hard=4096)],
}
"""What OpenShift's restricted-v2 gives a container, with a read-only root and no network."""

IN_MEMORY = 16 << 30
"""Bytes: more than both images take, built twice, with every layer that is kept."""


@dataclass(frozen=True)
class Ended:
    """A container that has ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Workshop:
    """``env`` has the variables with which podman, buildah and Docker's clients use it."""

    folder: Path
    env: dict[str, str]
    registry: str

    def podman(self, *arguments: object) -> str:
        """Run podman, and return its output."""
        return self.output(["podman", *map(str, arguments)])

    def inspect(self, reference: str) -> dict:
        return json.loads(self.podman("image", "inspect", reference))[0]

    def run(self, image: str, *command: str, **changes) -> Ended:
        """Run a command in an image as OpenShift would, but for the changes, through Docker's client."""
        client = docker.DockerClient(base_url=self.env["DOCKER_HOST"], timeout=300)
        with contextlib.closing(client):
            container = client.containers.create(image, list(command), **{**RESTRICTED, **changes})
            try:
                container.start()
                code = container.wait()["StatusCode"]
                logs = [container.logs(stdout=out, stderr=not out).decode() for out in (True, False)]
            finally:
                container.remove(force=True)
        return Ended(code, *logs)

    @contextlib.contextmanager
    def mounted(self, reference: str) -> Iterator[Path]:
        """Mount an image's files."""
        yield Path(self.podman("image", "mount", reference))
        self.podman("image", "umount", reference)

    def build(self, checkout: Path, *options: object, env: dict[str, str] | None = None) -> dict:
        """Build images of a checkout with the command, and return its JSON by target."""
        command = [sys.executable, "-m", "ml.cli", "image-build", "--json", "--base", BASE]
        command += ["--python", PYTHON]
        document = json.loads(self.output([*command, *map(str, options)], cwd=checkout, env=env))
        for stage in document["stages"]:
            print(f"{stage['step']}: {stage['seconds']:.0f} s")
        return {image["target"]: image for image in document["images"]}

    def output(self, command: list[str], cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
        env = {**self.env, **(env or {})}
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()


class Unable(Exception):
    """Containers do not run here, and why."""


@contextlib.contextmanager
def open_workshop(folder: Path) -> Iterator[Workshop]:
    """Set everything up in a folder, and remove it again.

    Raises:
        Unable: containers do not run on this machine.
    """
    port = closed_port()
    with contextlib.ExitStack() as stack:
        stack.enter_context(_in_memory(folder))
        env = {**os.environ, **_settings(folder, port), "BUILDAH_ISOLATION": "chroot"}
        # TMPDIR: where an engine puts a layer on its way.
        env |= {"DOCKER_HOST": f"unix://{folder}/podman.sock", "TMPDIR": str(folder)}
        shop = Workshop(folder, env, f"127.0.0.1:{port}")
        stack.callback(_remove, shop)
        try:
            stack.enter_context(registry_server(folder, port))
            shop.podman("import", "--quiet", base_tar(folder), BASE)
            service = ("podman", "system", "service", "--time=0", env["DOCKER_HOST"])
            stack.enter_context(process(folder / "podman.log", *service, env=env))
            wait_for((folder / "podman.sock").exists, 20)
            ended = shop.run(BASE, "true")
            assert ended.code == 0, ended.err
        except (subprocess.SubprocessError, AssertionError, TimeoutError, DockerException) as error:
            raise Unable(getattr(error, "stderr", None) or str(error)) from error
        yield shop


@contextlib.contextmanager
def _in_memory(folder: Path) -> Iterator[None]:
    """Keep a folder in memory if there is enough: the builds write 28 GB, and wait for the disk."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={IN_MEMORY},mode=755", "tmpfs", str(folder)]
    enough = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") > IN_MEMORY * 1.25
    mounted = enough and not subprocess.run(mount, capture_output=True, check=False).returncode
    try:
        yield
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=False)
            folder.rmdir()


def _settings(folder: Path, port: int) -> dict[str, str]:
    """Write the files with which podman and buildah use a storage and a registry of their own."""
    storage = f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/storage"\nrunroot = "{folder}/run"\n'
    registries = f'[[registry]]\nlocation = "127.0.0.1:{port}"\ninsecure = true\n'
    texts = {"CONTAINERS_STORAGE_CONF": storage, "CONTAINERS_REGISTRIES_CONF": registries}
    # crun fails where control groups are of both versions.
    texts["CONTAINERS_CONF"] = '[engine]\nruntime = "runc"\n'
    for name, text in texts.items():
        (folder / name).write_text(text)
    return {name: str(folder / name) for name in texts}


def _remove(shop: Workshop) -> None:
    for command in (("rm", "--all", "--force"), ("image", "umount", "--all")):
        subprocess.run(["podman", *command], env=shop.env, capture_output=True, check=False)
    subprocess.run(["umount", str(shop.folder / "storage/overlay")], capture_output=True, check=False)
    shutil.rmtree(shop.folder, ignore_errors=True)


def checkout_of(folder: Path) -> Path:
    """Commit this work tree's files, as they are, to a new repository in a folder that anyone may read."""
    listed = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    folder.chmod(0o755)
    _commit(folder, ["init", "-q"], ["remote", "add", "origin", REMOTE])
    return folder


def copy_of(checkout: Path, folder: Path, *, change: str = "") -> Path:
    """Clone a checkout, and commit other code on top: a comment at the end of a module."""
    subprocess.run(["git", "clone", "-q", str(checkout), str(folder)], check=True)
    subprocess.run(["git", "remote", "set-url", "origin", REMOTE], cwd=folder, check=True)
    if change:
        with open(folder / "ml/core/version.py", "a") as module:
            module.write(f"\n# {change}\n")
        _commit(folder)
    return folder


def _commit(folder: Path, *before: list[str]) -> None:
    date = "2026-01-02T03:04:05+00:00"
    env = {**os.environ, "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (*before, ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *command], cwd=folder, env=env, check=True)


def manifest(root: Path) -> dict[str, str]:
    """Describe every file below a folder: kind, mode, and content or target."""
    return {str(path.relative_to(root)): _description(path) for path in _paths(root)}


def _paths(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        yield from (Path(folder, name) for name in (*folders, *files))


def _description(path: Path) -> str:
    mode, content = path.lstat().st_mode, ""
    if stat.S_ISLNK(mode):
        content = str(path.readlink())
    elif stat.S_ISREG(mode):
        with open(path, "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    return f"{stat.filemode(mode)} {content}"

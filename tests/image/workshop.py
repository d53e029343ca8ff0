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

    def run(self, image: str, *command: str, **changes) -> subprocess.CompletedProcess:
        """Run a command in an image as OpenShift would, but for the changes, through Docker's client."""
        with contextlib.closing(docker.DockerClient(self.env["DOCKER_HOST"], timeout=300)) as client:
            container = client.containers.create(image, list(command), **{**RESTRICTED, **changes})
            try:
                container.start()
                code = container.wait()["StatusCode"]
                logs = [container.logs(stdout=out, stderr=not out).decode() for out in (True, False)]
            finally:
                container.remove(force=True)
        return subprocess.CompletedProcess(command, code, *logs)

    @contextlib.contextmanager
    def mounted(self, reference: str) -> Iterator[Path]:
        """Mount an image's files."""
        yield Path(self.podman("image", "mount", reference))
        self.podman("image", "umount", reference)

    def build(self, checkout: Path, target: str, *options: object, env: dict[str, str] | None = None) -> dict:
        """Build an image of a checkout with the command, and return its JSON."""
        command = [sys.executable, "-m", "ml.cli", "image-build", "--json", "--base", BASE]
        command += ["--python", PYTHON, "--target", target, *map(str, options)]
        document = json.loads(self.output(command, cwd=checkout, env=env))
        print("\n".join(f"{stage['step']}: {stage['seconds']:.0f} s" for stage in document["stages"]))
        return document["images"][0]

    def output(self, command: list[str], cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
        env = {**self.env, **(env or {})}
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()


@contextlib.contextmanager
def open_workshop(folder: Path) -> Iterator[Workshop]:
    """Set everything up in a folder, and remove it again."""
    if os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") > IN_MEMORY * 1.25:
        # The builds write 28 GB, and would wait for the disk.
        options = ["-t", "tmpfs", "-o", f"size={IN_MEMORY},mode=755"]
        subprocess.run(["mount", *options, "tmpfs", str(folder)], check=False)
    port = closed_port()
    # crun fails where control groups are of both versions.
    settings = {
        "CONTAINERS_STORAGE_CONF": f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/storage"\n'
        f'runroot = "{folder}/run"\n',
        "CONTAINERS_REGISTRIES_CONF": f'[[registry]]\nlocation = "127.0.0.1:{port}"\ninsecure = true\n',
        "CONTAINERS_CONF": '[engine]\nruntime = "runc"\n',
    }
    for name, text in settings.items():
        (folder / name).write_text(text)
    # TMPDIR: where an engine puts a layer on its way.
    env = {**os.environ, **{name: str(folder / name) for name in settings}, "TMPDIR": str(folder)}
    env |= {"BUILDAH_ISOLATION": "chroot", "DOCKER_HOST": f"unix://{folder}/podman.sock"}
    shop = Workshop(folder, env, f"127.0.0.1:{port}")
    service = ("podman", "system", "service", "--time=0", env["DOCKER_HOST"])
    try:
        with registry_server(folder, port), process(folder / "podman.log", *service, env=env):
            shop.podman("import", "--quiet", base_tar(folder), BASE)
            wait_for((folder / "podman.sock").exists, 20)
            yield shop
    finally:
        for command in (["rm", "--all", "--force"], ["image", "umount", "--all"]):
            subprocess.run(["podman", *command], env=env, capture_output=True, check=False)
        for place in (folder / "storage/overlay", folder):
            subprocess.run(["umount", "--lazy", str(place)], capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def checkout_of(folder: Path) -> Path:
    """Commit this work tree's files, as they are, to a new repository in a folder that anyone may read."""
    listed = "git ls-files -z --cached --others --exclude-standard"
    packed = "tar --create --null --files-from - --ignore-failed-read --mode go+rX"
    subprocess.run(f"{listed} | {packed} | tar --extract -C {folder}", shell=True, cwd=ROOT, check=True)
    folder.chmod(0o755)
    _git(folder, "init", "-q")
    _git(folder, "remote", "add", "origin", REMOTE)
    _commit(folder)
    return folder


def copy_of(checkout: Path, folder: Path, *, change: str = "") -> Path:
    """Clone a checkout, and commit other code on top: a comment at the end of a module."""
    subprocess.run(["git", "clone", "-q", str(checkout), str(folder)], check=True)
    _git(folder, "remote", "set-url", "origin", REMOTE)
    if change:
        with open(folder / "ml/core/version.py", "a") as module:
            module.write(f"\n# {change}\n")
        _commit(folder)
    return folder


def _commit(folder: Path) -> None:
    _git(folder, "add", ".")
    _git(folder, "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "x")


def _git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True)


def manifest(root: Path) -> dict[str, str]:
    """Describe every file below a folder: kind, mode, and content or target."""
    return {str(path.relative_to(root)): _description(path) for path in root.rglob("*")}


def _description(path: Path) -> str:
    mode, content = path.lstat().st_mode, ""
    if stat.S_ISLNK(mode):
        content = str(path.readlink())
    elif stat.S_ISREG(mode):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{stat.filemode(mode)} {content}"

"""The images that a cluster needs, built here, pushed to a registry that this machine and the nodes reach."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from image.workshop import ROOT, checkout_of

from ml.image import registry
from ml.image.key import dependencies, keyed_files
from ml.image.pip_settings import pip_secrets

NEEDED = ("buildah", "git", "kubectl", "mmdebstrap")
PYTHON = "3.11"
"""Debian 12's, on which all of them lie."""

BASE = ("python3", "python3-venv", "ca-certificates")
BUILDER = ("buildah", "git", "ca-certificates", "golang-github-containers-common", "netbase")


@dataclass(frozen=True)
class Registry:
    """A registry: the names of images before /component and the like, and whether it speaks TLS."""

    repository: str
    tls: bool
    env: dict[str, str]
    folder: Path

    @property
    def secrets(self) -> Path:
        """The folder with what pip needs to reach its index."""
        return self.folder / "secrets"

    def buildah(self, *arguments: object) -> str:
        command = ["buildah", *map(str, arguments)]
        done = subprocess.run(
            command, env={**os.environ, **self.env}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout.strip()

    def push(self, image: str, reference: str) -> str:
        """Push an image, and return its name by digest."""
        file = self.folder / "digest"
        options = ["--quiet", f"--tls-verify={str(self.tls).lower()}", "--digestfile", file]
        self.buildah("push", *options, image, f"docker://{reference}")
        return f"{reference.rpartition(':')[0]}@{file.read_text().strip()}"

    def known(self, reference: str) -> str:
        """Return an image by digest if the registry has it, or ""."""
        digest = registry.Registry(insecure=not self.tls).digest(reference)
        return f"{reference.rpartition(':')[0]}@{digest}" if digest else ""

    def debian(self, name: str, packages: tuple[str, ...]) -> str:
        """Make an image of Debian with some packages, and push it; once for a registry."""
        if known := self.known(f"{self.repository}/{name}:1"):
            return known
        rootfs = self.folder / f"{name}.tar"
        include = f"--include={','.join(packages)}"
        command = ["mmdebstrap", "--quiet", "--variant=minbase", include, "bookworm", str(rootfs)]
        subprocess.run(command, check=True, capture_output=True)
        container = self.buildah("from", "scratch")
        self.buildah("add", container, rootfs, "/")
        self.buildah("config", "--user", "1001", container)
        self.buildah("commit", "--rm", "--quiet", container, f"localhost/{name}:1")
        rootfs.unlink()
        return self.push(f"localhost/{name}:1", f"{self.repository}/{name}:1")


def open_registry(repository: str, tls: bool, folder: Path) -> Registry:
    """Give buildah the settings that lead it to the registry."""
    host = repository.partition("/")[0]
    registries = folder / "registries.conf"
    registries.write_text("" if tls else f'[[registry]]\nlocation = "{host}"\ninsecure = true\n')
    env = {"CONTAINERS_REGISTRIES_CONF": str(registries), "BUILDAH_ISOLATION": "chroot"}
    return Registry(repository, tls, env, folder)


def build_all(site: Registry, *, double: bool) -> dict[str, str]:
    """Build and push everything that a run of the Pipeline needs.

    Returns:
        by name, each image by digest: base, builder, tools, judge and, if asked for, double; and the
        commit's folder, ``checkout``. What judges is a component image, of a commit that is trusted.
    """
    checkout = site.folder / "jukebox.git"
    checkout.mkdir()
    checkout_of(checkout)
    subprocess.run(["git", "branch", "-qM", "main"], cwd=checkout, check=True)
    site.secrets.mkdir()
    pip_secrets(site.secrets)
    base = site.debian("base", BASE)
    images = {"base": base, "builder": site.debian("builder", BUILDER), "checkout": str(checkout)}
    command = [sys.executable, "-m", "ml.cli", "image-build", "--json", "--engine", "buildah", "--push"]
    options = ["--base", base, "--python", PYTHON, "--repository", site.repository]
    done = subprocess.run(
        [*command, *options],
        cwd=checkout,
        env={**os.environ, **site.env, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    built = {image["target"]: image for image in json.loads(done.stdout)["images"]}
    images["tools"] = f"{site.repository}/tools@{built['tools']['digest']}"
    images["judge"] = f"{site.repository}/component@{built['component']['digest']}"
    if double:
        images["double"] = _double(site, checkout, base)
    return images


def _double(site: Registry, checkout: Path, base: str) -> str:
    """Build what the tests run in, and on top of it the double of the DSPA with the code of its steps."""
    key, target = dependencies(keyed_files(checkout), PYTHON, base.partition("@")[2]).key, "test-dependencies"
    reference = f"{site.repository}/{target}:{key}"
    arguments = [f"--build-arg=BASE_IMAGE={base}", f"--build-arg=PYTHON={PYTHON}", *pip_secrets(site.secrets)]
    stage = ["--layers", "--timestamp=0", f"--target={target}", f"--tag={reference}", "--pull=never"]
    if not site.known(reference):
        site.buildah("build", *stage, *arguments, "--file", checkout / "Containerfile", checkout)
        site.push(reference, reference)
    container = site.buildah("from", reference)
    for name in ("ml", "tests"):
        site.buildah("copy", container, checkout / name, f"/srv/{name}")
    site.buildah("config", "--env", "PYTHONPATH=/srv:/srv/tests", container)
    site.buildah("commit", "--rm", "--quiet", container, "localhost/double:1")
    return site.push("localhost/double:1", f"{site.repository}/double:1")

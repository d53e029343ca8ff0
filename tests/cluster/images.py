"""The images that a cluster needs, built here, pushed to a registry that this machine and the nodes reach."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from base_image import PYTHON
from image.workshop import ROOT, checkout_of

from ml.image import registry
from ml.image.pip_settings import pip_secrets

NEEDED = ("buildah", "git", "kubectl", "mmdebstrap")
BASE = "python3,python3-venv,ca-certificates"
BUILDER = "buildah,git,ca-certificates,golang-github-containers-common,netbase"


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

    def output(self, *command: object, **options) -> str:
        """Run a program, and return its output."""
        env, command = {**os.environ, **self.env}, [str(word) for word in command]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, **options)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def push(self, container: str, name: str) -> str:
        """Push a container as an image, and return its name by digest."""
        self.output("buildah", "commit", "--rm", "--quiet", container, f"localhost/{name}:1")
        file, target = self.folder / "digest", f"docker://{self.repository}/{name}:1"
        options = ["--quiet", f"--tls-verify={str(self.tls).lower()}", "--digestfile", file]
        self.output("buildah", "push", *options, f"localhost/{name}:1", target)
        return f"{self.repository}/{name}@{file.read_text().strip()}"

    def debian(self, name: str, packages: str) -> str:
        """Make an image of Debian with some packages, and push it; once for a registry."""
        if known := registry.Registry(insecure=not self.tls).digest(f"{self.repository}/{name}:1"):
            return f"{self.repository}/{name}@{known}"
        rootfs = self.folder / f"{name}.tar"
        self.output("mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}", "bookworm", rootfs)
        container = self.output("buildah", "from", "scratch")
        self.output("buildah", "add", container, rootfs, "/")
        self.output("buildah", "config", "--user", "1001", container)
        return self.push(container, name)


def open_registry(repository: str, tls: bool, folder: Path) -> Registry:
    """Give buildah the settings that lead it to the registry."""
    host, registries = repository.partition("/")[0], folder / "registries.conf"
    registries.write_text("" if tls else f'[[registry]]\nlocation = "{host}"\ninsecure = true\n')
    env = {"CONTAINERS_REGISTRIES_CONF": str(registries), "BUILDAH_ISOLATION": "chroot"}
    return Registry(repository, tls, {**env, "PYTHONPATH": str(ROOT)}, folder)


def build_all(site: Registry, *, double: bool) -> dict[str, str]:
    """Build and push everything that a run of the Pipeline needs.

    Returns:
        by name, each image by digest: base, builder, tools, judge and, if asked for, double; and the
        commit's folder, ``checkout``. What judges is a component image, of a commit that is trusted.
    """
    checkout = site.folder / "jukebox.git"
    checkout.mkdir()
    site.output("git", "branch", "-qM", "main", cwd=checkout_of(checkout))
    site.secrets.mkdir()
    pip_secrets(site.secrets)
    base = site.debian("base", BASE)
    images = {"base": base, "builder": site.debian("builder", BUILDER), "checkout": str(checkout)}
    command = [sys.executable, "-m", "ml.cli", "image-build", "--json", "--engine", "buildah", "--push"]
    command += ["--base", base, "--python", PYTHON, "--repository", site.repository]
    component, tools = json.loads(site.output(*command, cwd=checkout))["images"]
    images["tools"] = f"{site.repository}/tools@{tools['digest']}"
    images["judge"] = f"{site.repository}/component@{component['digest']}"
    if double:
        # The code of its steps, on what the tests run in, which was built and pushed too.
        container = site.output("buildah", "from", f"{site.repository}/test-dependencies:{tools['key']}")
        for name in ("ml", "tests"):
            site.output("buildah", "copy", container, checkout / name, f"/srv/{name}")
        site.output("buildah", "config", "--env", "PYTHONPATH=/srv:/srv/tests", container)
        images["double"] = site.push(container, "double")
    return images

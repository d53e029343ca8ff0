"""The component that a registry client assembles is the one that an engine builds: files, modes, settings."""

import json
import subprocess
import sys

import pytest
from base_image import PYTHON
from image.workshop import manifest

UNKNOWN = {"io.buildah.version"}
"""A label that an engine adds to what it commits."""


@pytest.fixture(scope="module")
def assembled(workshop, images, checkout) -> str:
    """The component of the same checkout on the same dependencies, without an engine; by digest."""
    repository = images["component"]["reference"].rpartition("/")[0]
    command = [sys.executable, "-m", "ml.cli", "ci", "image-assemble", "--json", "--plain-http"]
    command += ["--repository", repository, "--tag", "assembled", "--python", PYTHON]
    command += ["--dependencies", images["component"]["dependencies"]]
    command += ["--source", "https://git.example/team/jukebox"]
    done = subprocess.run(
        command, cwd=checkout, env=workshop.env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["sent"] < 1_000_000, "only the code is sent, what lies below is mounted"
    workshop.podman("pull", "--quiet", found["by_digest"])
    return found["by_digest"]


def files(workshop, reference) -> dict[str, str]:
    with workshop.mounted(reference) as root:
        return manifest(root)


def test_every_file_is_the_same(workshop, images, assembled):
    built, ours = files(workshop, images["component"]["by_digest"]), files(workshop, assembled)
    assert len(ours) > 10_000
    assert {path for path in built.keys() | ours.keys() if built.get(path) != ours.get(path)} == set()


def test_the_dependencies_and_the_code_are_the_only_layers(workshop, images, assembled):
    below, built, ours = (
        workshop.inspect(reference)["RootFS"]["Layers"]
        for reference in (images["component"]["dependencies"], images["component"]["by_digest"], assembled)
    )
    assert ours[:-1] == built[:-1] == below


def test_the_settings_are_the_same(workshop, images, assembled):
    built, ours = (
        workshop.inspect(reference)["Config"] for reference in (images["component"]["by_digest"], assembled)
    )
    for config in (built, ours):
        config["Labels"] = {name: text for name, text in config["Labels"].items() if name not in UNKNOWN}
    assert ours == built


def test_it_runs(workshop, assembled):
    ended = workshop.run(assembled, "jukebox", "--version")
    assert ended.code == 0, ended.err
    assert ended.out.startswith("jukebox")

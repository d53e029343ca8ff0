"""Builds of one commit are the same, whoever builds or assembles them; other code is one new layer."""

import json
import os
import sys

import pytest
from base_image import PYTHON
from image.workshop import copy_of, manifest


def layers(workshop, reference) -> list[str]:
    return workshop.inspect(reference)["RootFS"]["Layers"]


def assert_same_files(workshop, *references: str, folder: str = "", least: int) -> None:
    described = []
    for reference in references:
        with workshop.mounted(reference) as root:
            described.append(manifest(root / folder))
    ours, theirs = described
    assert len(ours) > least
    assert {path for path in ours.keys() | theirs.keys() if ours.get(path) != theirs.get(path)} == set()


@pytest.mark.parametrize(("target", "engine", "count"), [("component", "podman", 4), ("tools", "buildah", 3)])
def test_two_builds_have_the_same_files(workshop, images, checkout, tmp_path, target, engine, count):
    """Without a cache, in another folder, by a user with another umask, each with another engine."""
    umask = os.umask(0o077)
    try:
        copy = copy_of(checkout, tmp_path / "copy")
    finally:
        os.umask(umask)
    again = workshop.build(copy, target, "--fresh", "--repository", "localhost/again", "--engine", engine)
    ours, theirs = (layers(workshop, image["reference"]) for image in (images[target], again))
    # The base, the dependencies (in the component also the server's), the code.
    assert len(ours) == count
    assert ours[-1] == theirs[-1]
    assert again["reused"] is False
    pair = (images[target]["dependencies"], again["dependencies"])
    assert_same_files(workshop, *pair, folder="opt/jukebox", least=3000)


def test_other_code_is_one_new_layer_on_the_same_dependencies(workshop, images, checkout, tmp_path):
    """On a machine that has never built: the dependencies come from the registry."""
    image, other = images["component"], copy_of(checkout, tmp_path / "other", change="Other code.")
    workshop.podman("untag", image["dependencies"])
    options = ["--push", "--repository", f"{workshop.registry}/jukebox"]
    changed = workshop.build(other, "component", *options, "--engine", "buildah")
    assert (changed["reused"], changed["key"]) == (True, image["key"])
    workshop.podman("pull", "--quiet", changed["reference"])
    ours, theirs = (layers(workshop, each["reference"]) for each in (image, changed))
    assert ours[:-1] == theirs[:-1]
    assert ours[-1] != theirs[-1]


def test_the_assembled_component_is_the_one_that_an_engine_builds(workshop, images, checkout):
    image = images["component"]
    command = [sys.executable, "-m", "ml.cli", "ci", "image-assemble", "--json", "--plain-http"]
    command += ["--repository", f"{workshop.registry}/jukebox", "--tag", "assembled", "--python", PYTHON]
    command += ["--dependencies", image["dependencies"], "--source", "https://git.example/team/jukebox"]
    assembled = json.loads(workshop.output(command, cwd=checkout))
    assert assembled["sent"] < 1_000_000, "only the code is sent, the dependencies are mounted"
    workshop.podman("pull", "--quiet", assembled["by_digest"])
    pair = (image["by_digest"], assembled["by_digest"])
    assert_same_files(workshop, *pair, least=10_000)
    built, ours = (layers(workshop, reference) for reference in pair)
    assert ours[:-1] == built[:-1] == layers(workshop, image["dependencies"])
    built, ours = (workshop.inspect(reference)["Config"] for reference in pair)
    for config in (built, ours):
        config["Labels"].pop("io.buildah.version", None)
    assert ours == built
    ended = workshop.run(assembled["by_digest"], "jukebox", "--version")
    assert (ended.returncode, ended.stdout[:7]) == (0, "jukebox"), ended.stderr

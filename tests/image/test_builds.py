"""Builds of one commit are the same, whoever builds or assembles them; other code is one new layer."""

import json
import sys

import pytest
from base_image import PYTHON
from image.workshop import copy_of, manifest

TARGETS = pytest.mark.parametrize("target", ["component", "tools"])


def layers(workshop, reference) -> list[str]:
    return workshop.inspect(reference)["RootFS"]["Layers"]


def files(workshop, reference, folder="") -> dict[str, str]:
    with workshop.mounted(reference) as root:
        return manifest(root / folder)


def assert_same(ours: dict, theirs: dict, count: int) -> None:
    assert len(ours) > count
    assert {path for path in ours.keys() | theirs.keys() if ours.get(path) != theirs.get(path)} == set()


@TARGETS
def test_two_builds_of_a_commit_have_the_same_code_layer_and_dependencies(workshop, images, again, target):
    ours, theirs = (layers(workshop, image[target]["reference"]) for image in (images, again))
    # The base, the dependencies (in the component also the server's), the code.
    assert len(ours) == {"component": 4, "tools": 3}[target]
    assert ours[-1] == theirs[-1]
    assert again[target]["reused"] is False
    below = [image[target]["dependencies"] for image in (images, again)]
    assert_same(*(files(workshop, reference, "opt/jukebox") for reference in below), 3000)


def test_other_code_is_one_new_layer_on_the_same_dependencies(workshop, images, checkout, tmp_path):
    """On a machine that has never built: the dependencies come from the registry."""
    image, other = images["component"], copy_of(checkout, tmp_path / "other", change="Other code.")
    workshop.podman("untag", image["dependencies"])
    options = ["--push", "--repository", f"{workshop.registry}/jukebox", "--target", "component"]
    changed = workshop.build(other, *options, "--engine", "buildah")["component"]
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
    assert_same(*(files(workshop, reference) for reference in pair), 10_000)
    built, ours = (layers(workshop, reference) for reference in pair)
    assert ours[:-1] == built[:-1] == layers(workshop, image["dependencies"])
    built, ours = (workshop.inspect(reference)["Config"] for reference in pair)
    for config in (built, ours):
        config["Labels"].pop("io.buildah.version", None)
    assert ours == built
    ended = workshop.run(assembled["by_digest"], "jukebox", "--version")
    assert (ended.code, ended.out[:7]) == (0, "jukebox"), ended.err

"""One commit gives the same layers whoever builds it; other code on the same locks is one new layer."""

import pytest
from image.workshop import copy_of, manifest


def layers(workshop, image) -> list[str]:
    return workshop.inspect(image["reference"])["RootFS"]["Layers"]


@pytest.mark.parametrize(("target", "count"), [("component", 4), ("tools", 3)])
def test_two_builds_of_a_commit_have_the_same_code_layer(workshop, images, again, target, count):
    ours, theirs = layers(workshop, images[target]), layers(workshop, again[target])
    # The base, the dependencies (in the component also the server's), the code.
    assert len(ours) == count
    assert ours[-1] == theirs[-1]
    assert again[target]["reused"] is False


@pytest.mark.parametrize("target", ["component", "tools"])
def test_two_builds_of_a_commit_have_the_same_dependencies_file_by_file(workshop, images, again, target):
    found = []
    for image in (images[target], again[target]):
        with workshop.mounted(image["dependencies"]) as root:
            found.append(manifest(root / "opt/jukebox"))
    ours, theirs = found
    assert len(ours) > 3000
    assert {path for path in ours.keys() | theirs.keys() if ours.get(path) != theirs.get(path)} == set()


def test_other_code_is_one_new_layer_on_the_dependencies_of_the_registry(
    workshop, images, checkout, tmp_path
):
    """A machine that has never built: the dependencies come from where the images are pushed to."""
    other = copy_of(checkout, tmp_path / "other", change="Other code.")
    workshop.podman("untag", images["component"]["dependencies"])
    repository = images["component"]["reference"].rpartition("/")[0]
    arguments = ["--push", "--repository", repository, "--target", "component", "--engine", "buildah"]
    changed = workshop.build(other, *arguments)["component"]
    assert changed["reused"] is True
    assert changed["key"] == images["component"]["key"]
    workshop.podman("pull", "--quiet", changed["reference"])
    ours, theirs = layers(workshop, images["component"]), layers(workshop, changed)
    assert ours[:-1] == theirs[:-1]
    assert ours[-1] != theirs[-1]

"""Both images, built once from this work tree and pushed to a registry, for all tests of images."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from image.workshop import NEEDED, Unable, checkout_of, open_workshop
from servers import Site, serving

PASSWORD = "canary-7f3a91"
"""What pip is given to reach its index with: it must be in no image."""


@pytest.fixture(scope="session")
def workshop():
    """Give a workshop, or say what this machine lacks."""
    missing = [name for name in NEEDED if not shutil.which(name)]
    if missing:
        _unable(f"apt-get install {' '.join(missing)}")
    # Not below pytest's folder: the path of a socket must be short.
    folder = Path(tempfile.mkdtemp(prefix="jukebox-images-"))
    try:
        with open_workshop(folder) as shop:
            yield shop
    except Unable as error:
        _unable(
            f"containers do not run here ({error}); this has to: podman --runtime runc run --rm IMAGE true"
        )


def _unable(why: str) -> None:
    """Skip with what would help; where everything can be installed, it is a failure."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(why)


@pytest.fixture(scope="session")
def checkout(tmp_path_factory) -> Path:
    """This work tree, committed."""
    return checkout_of(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="session")
def images(workshop, checkout) -> dict:
    """Build both images and push them, with a password for pip's index; by target, what the command says."""
    with serving(Site()) as index:
        url = index.url.replace("://", f"://someone:{PASSWORD}@")
        repository = f"{workshop.registry}/jukebox"
        env = {"PIP_EXTRA_INDEX_URL": f"{url}/simple"}
        built = workshop.build(checkout, "--push", "--repository", repository, env=env)
    assert index.asked, "pip did not ask the index that needs the password"
    for image in built.values():
        image["by_digest"] = f"{repository}/{image['target']}@{image['digest']}"
        workshop.podman("pull", "--quiet", image["by_digest"])
    return built

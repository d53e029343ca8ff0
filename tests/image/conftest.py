"""Both images of this work tree for all tests of images: built, and pushed to a registry."""

import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from image.workshop import NEEDED, checkout_of, open_workshop
from servers import Site, serving

from ml.image.key import TARGETS

PASSWORD = "canary-7f3a91"
"""The password for pip's index: no image may have it."""


@pytest.fixture(scope="session")
def workshop():
    missing = [name for name in NEEDED if not shutil.which(name)]
    if missing or os.geteuid() != 0:
        # In CI everything can be installed.
        end = pytest.fail if os.environ.get("CI") else pytest.skip
        end(f"needs root, and apt-get install {' '.join(missing)}")
    # Not below pytest's folder: the path of a socket must be short.
    with open_workshop(Path(tempfile.mkdtemp(prefix="jukebox-images-"))) as shop:
        yield shop


@pytest.fixture(scope="session")
def checkout(tmp_path_factory) -> Path:
    """This work tree, committed."""
    return checkout_of(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="session")
def images(workshop, checkout) -> dict:
    """Both images, built with a password for pip's index, and pushed; by target, the command's result."""
    repository = f"{workshop.registry}/jukebox"
    with serving(Site()) as index, ThreadPoolExecutor() as threads:
        url = index.url.replace("://", f"://someone:{PASSWORD}@")

        def build(target: str) -> dict:
            options = ("--push", "--repository", repository, "--bills", checkout / ".jukebox" / target)
            return workshop.build(checkout, target, *options, env={"PIP_EXTRA_INDEX_URL": f"{url}/simple"})

        built = dict(zip(TARGETS, threads.map(build, TARGETS), strict=True))
    assert index.asked, "pip did not ask the index that needs the password"
    for image in built.values():
        image["by_digest"] = f"{repository}/{image['target']}@{image['digest']}"
        workshop.podman("pull", "--quiet", image["by_digest"])
    return built

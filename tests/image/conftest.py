"""Both images of this work tree for all tests of images: built, pushed to a registry, and built once more."""

import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from image.workshop import NEEDED, Unable, checkout_of, copy_of, open_workshop
from servers import Site, serving

from ml.image.key import TARGETS

PASSWORD = "canary-7f3a91"
"""The password for pip's index: no image may have it."""


def _needs_again(item: pytest.Item) -> bool:
    return "again" in getattr(item, "fixturenames", ())


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that need the second build last: it is made while the others run."""
    items.sort(key=_needs_again)


def _unable(why: str) -> None:
    """Skip; in CI, where everything can be installed, fail."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(why)


@pytest.fixture(scope="session")
def workshop():
    if missing := [name for name in NEEDED if not shutil.which(name)]:
        _unable(f"apt-get install {' '.join(missing)}")
    if os.geteuid() != 0:
        _unable("run this as root: the containers' user is one that OpenShift gives, of no range here")
    # Not below pytest's folder: the path of a socket must be short.
    folder = Path(tempfile.mkdtemp(prefix="jukebox-images-"))
    try:
        with open_workshop(folder) as shop:
            yield shop
    except Unable as error:
        _unable(f"containers do not run here ({error}); try: podman --runtime runc run --rm IMAGE true")


@pytest.fixture(scope="session")
def checkout(tmp_path_factory) -> Path:
    """This work tree, committed."""
    return checkout_of(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="session")
def images(workshop, checkout, request) -> dict:
    """Both images, built with a password for pip's index, and pushed; by target, the command's result."""
    repository = f"{workshop.registry}/jukebox"
    with serving(Site()) as index, ThreadPoolExecutor() as threads:
        url = index.url.replace("://", f"://someone:{PASSWORD}@")

        def build(target: str) -> dict:
            options = ("--push", "--repository", repository, "--bills", checkout / ".jukebox" / target)
            env = {"PIP_EXTRA_INDEX_URL": f"{url}/simple"}
            return workshop.build(checkout, "--target", target, *options, env=env)[target]

        built = dict(zip(TARGETS, threads.map(build, TARGETS), strict=True))
    assert index.asked, "pip did not ask the index that needs the password"
    for image in built.values():
        image["by_digest"] = f"{repository}/{image['target']}@{image['digest']}"
        workshop.podman("pull", "--quiet", image["by_digest"])
    if any(map(_needs_again, request.session.items)):
        request.getfixturevalue("rebuilding")
    return built


@pytest.fixture(scope="session")
def rebuilding(workshop, checkout, tmp_path_factory):
    """Start to build both images once more, while other tests run.

    Without a cache, in another folder, by a user with another umask, each with another engine.
    """
    umask = os.umask(0o077)
    try:
        copy = copy_of(checkout, tmp_path_factory.mktemp("again") / "copy")
    finally:
        os.umask(umask)

    def build(target: str, engine: str) -> dict:
        options = ("--fresh", "--repository", "localhost/again", "--engine", engine)
        options += ("--bills", copy / ".jukebox" / target)
        return workshop.build(copy, "--target", target, *options)[target]

    engines = {"component": "podman", "tools": "buildah"}
    with ThreadPoolExecutor() as threads:
        yield {target: threads.submit(build, target, engine) for target, engine in engines.items()}


@pytest.fixture(scope="session")
def again(images, rebuilding) -> dict:
    """Both images, built once more; by target, the command's result."""
    return {target: build.result() for target, build in rebuilding.items()}

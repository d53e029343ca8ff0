"""Build the images of a commit: the dependencies where no registry has them yet, then the code on top."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ml.core.errors import PlatformError, UsageError
from ml.image.build_records import BuildRequest, Built, Contexts
from ml.image.engine import Engine, Image, is_absent
from ml.image.key import BY_DIGEST, TARGETS, dependencies, keyed_files, native_architecture, write_context
from ml.image.pip_settings import pip_secrets
from ml.image.source import Source, export

Show = Callable[[dict[str, Any]], None]
"""A function that takes an event of a build stage: its start, or its end."""


def build_images(request: BuildRequest, engine: Engine, source: Source, show: Show) -> list[Built]:
    """Build each target, one after the other.

    Args:
        request: the images to build.
        engine: podman or buildah.
        source: the commit, as `ml.image.source.read_source` returns it.
        show: called when a stage starts and when it ends.

    Raises:
        UsageError: a target is unknown, or the base image is for another architecture.
        RunFailed: a build failed.
        PlatformError: a registry cannot be reached.
    """
    with tempfile.TemporaryDirectory() as folder:
        commit, below, secrets = (Path(folder, name) for name in ("context", "below", "secrets"))
        commit.mkdir()
        below.mkdir()
        secrets.mkdir(mode=0o700)
        export(request.checkout, source.commit, commit)
        base = _base(request.base, engine)
        arguments = {"BASE_IMAGE": request.base, "PYTHON": request.python, "SOURCE": source.url}
        options = [
            # Not the date of the commit: images with the same files must be the same.
            "--timestamp=0",
            *(f"--build-arg={name}={value}" for name, value in arguments.items()),
            *pip_secrets(secrets),
            *(["--no-cache"] if request.fresh else []),
        ]
        # All targets first: a wrong second target is refused before minutes are spent on the first.
        unknown = sorted(set(request.targets) - set(TARGETS))
        if unknown:
            raise UsageError(f"--target {unknown[0]}: the images are {' and '.join(TARGETS)}")
        files = keyed_files(commit)
        write_context(files, below)
        key = dependencies(files, request.python, base).key
        contexts = Contexts(commit, below, tuple(options))
        built = [_build(request, engine, source, target, key, contexts, show) for target in request.targets]
        if request.push and set(request.targets) == set(TARGETS):
            # The image that commits are tested in: a cluster without a package index cannot build it.
            _ensure_dependencies(request, engine, "test-dependencies", key, contexts, show)
        return built


def _build(
    request: BuildRequest,
    engine: Engine,
    source: Source,
    target: str,
    key: str,
    contexts: Contexts,
    show: Show,
) -> Built:
    stage = f"{target}-dependencies"
    below, reused = _ensure_dependencies(request, engine, stage, key, contexts, show)
    options = [*contexts.options, f"--build-context={stage}=container-image://{below}"]
    if target == "tools":
        options += [f"--build-arg=REVISION={source.commit}", f"--build-arg=CREATED={source.created}"]
    reference = f"{request.repository}/{target}:{source.commit[:12]}"
    with _shown(show, target) as set_headline:
        engine.build(contexts.commit, target, [*options, f"--tag={reference}"])
        image = _inspect(engine, reference)
        set_headline(f"{image.size} with the base")
    with _shown(show, f"{target}-sbom") as set_headline:
        output = f"--output=type=local,dest={request.bills.absolute()}"
        engine.build(contexts.commit, f"{target}-sbom", [*options, output])
        bill = request.bills / f"{target}.cdx.json"
        set_headline(str(bill))
    digest = image.digest
    if request.push:
        with _shown(show, f"{target}-push") as set_headline:
            digest = engine.push(reference)
            set_headline(digest)
    return Built(
        target=target,
        reference=reference,
        digest=digest,
        pushed=request.push,
        size=image.size,
        dependencies=below,
        key=key,
        reused=reused,
        bill=str(bill),
    )


def _ensure_dependencies(
    request: BuildRequest, engine: Engine, stage: str, key: str, contexts: Contexts, show: Show
) -> tuple[str, bool]:
    """Build a dependency image unless it exists; returns its name, and whether it existed."""
    below = f"{request.repository}/{stage}:{key}"
    reused = _reuse(request, engine, below, show)
    if not reused:
        with _shown(show, stage) as set_headline:
            engine.build(contexts.dependencies, stage, [*contexts.options, f"--tag={below}"])
            if request.push:
                engine.push(below)
            set_headline(f"{_inspect(engine, below).size} with the base, key {key[:12]}")
    return below, reused


def _reuse(request: BuildRequest, engine: Engine, below: str, show: Show) -> bool:
    """Look a dependency image up: with ``push`` in the registry first, otherwise on this machine only."""
    if request.fresh:
        return False
    is_local = engine.inspect(below) is not None
    if not request.push:
        return is_local
    with _shown(show, "look-up") as set_headline:
        error = engine.pull(below)
        if error and not is_absent(error):
            raise PlatformError(f"cannot look up {below}: {error}")
        if error and is_local:
            engine.push(below)
        set_headline(f"not in the registry: {error}" if error else "the registry has the dependencies")
    return is_local or not error


def _base(base: str, engine: Engine) -> str:
    """Pull the base image if it is missing, check its architecture, and return its digest."""
    image = engine.inspect(base)
    if image is None:
        error = engine.pull(base)
        image = engine.inspect(base)
        if error or image is None:
            raise PlatformError(f"cannot pull the base image {base}: {error}")
    if image.architecture != native_architecture():
        raise UsageError(
            f"--base {base} is for {image.architecture}, this machine is {native_architecture()}: "
            "name a base image for this architecture, or build on a machine of the other one"
        )
    named = BY_DIGEST.match(base)
    return named[1] if named else image.digest


def _inspect(engine: Engine, reference: str) -> Image:
    image = engine.inspect(reference)
    if image is None:
        raise PlatformError(f"{engine.name} built {reference}, but does not list it; run the build again")
    return image


@contextmanager
def _shown(show: Show, step: str) -> Iterator[Callable[[str], None]]:
    """Report the start and the end of a stage; gives a function that sets the headline of the end."""
    start, headline = time.monotonic(), [""]
    show({"step": step, "event": "start"})
    yield headline.append
    seconds = time.monotonic() - start
    show({"step": step, "event": "end", "seconds": seconds, "headline": headline[-1]})

"""Build the images of a commit: the dependencies where they are not there yet, then the code on top."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from ml.core.errors import PlatformError, UsageError
from ml.image.engine import Engine, Image, is_absent
from ml.image.key import BY_DIGEST, TARGETS, dependencies, keyed_files, native_architecture, write_context
from ml.image.pip_settings import pip_secrets
from ml.image.source import Source, export

Show = Callable[[dict[str, Any]], None]


class BuildRequest(BaseModel):
    """Which images to build, and how.

    ``repository`` is the part of the images' names before /component and /tools; ``push`` sends them there,
    and has the registry asked for the dependencies first. ``bills`` is the folder for the bills of materials.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    checkout: Path
    targets: tuple[str, ...]
    base: str
    python: str
    repository: str
    push: bool
    fresh: bool
    bills: Path


class Built(BaseModel):
    """An image that was built. ``digest`` is the registry's once it is pushed, before that this machine's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str
    reference: str
    digest: str
    pushed: bool
    size: str
    dependencies: str
    key: str
    reused: bool
    bill: str


@dataclass(frozen=True)
class Contexts:
    """What is built from: ``all`` of the commit, or the files of the ``dependencies``; and the options."""

    all: Path
    dependencies: Path
    options: tuple[str, ...]


def build_images(request: BuildRequest, engine: Engine, source: Source, show: Show) -> list[Built]:
    """Build each target, one after the other.

    Args:
        request: what to build.
        engine: what builds it.
        source: the commit, as `ml.image.source` tells.
        show: is told of each stage that starts and ends.

    Raises:
        UsageError: the base is for another architecture, or its name has no digest and none is known.
        RunFailed: a build failed.
        PlatformError: a registry cannot be reached.
    """
    with tempfile.TemporaryDirectory() as folder:
        context, below, secrets = (Path(folder, name) for name in ("context", "below", "secrets"))
        context.mkdir()
        below.mkdir()
        secrets.mkdir(mode=0o700)
        export(request.checkout, source.commit, context)
        base = _base(request.base, engine)
        arguments = {"BASE_IMAGE": request.base, "PYTHON": request.python, "SOURCE": source.url}
        options = [
            # Their date is no commit's: images with the same files are the same.
            "--timestamp=0",
            *(f"--build-arg={name}={value}" for name, value in arguments.items()),
            *pip_secrets(secrets),
            *(["--no-cache"] if request.fresh else []),
        ]
        # All of them first: a wrong second target is refused before minutes are spent on the first.
        strange = sorted(set(request.targets) - set(TARGETS))
        if strange:
            raise UsageError(f"--target {strange[0]}: the images are {' and '.join(TARGETS)}")
        files = keyed_files(context)
        write_context(files, below)
        key = dependencies(files, request.python, base).key
        contexts = Contexts(context, below, tuple(options))
        built = [_build(request, engine, source, target, key, contexts, show) for target in request.targets]
        if request.push and set(request.targets) == set(TARGETS):
            # What commits are tested in: a cluster that reaches no package index finds it there.
            _below(request, engine, "test-dependencies", key, contexts, show)
        return built


def _build(
    request: BuildRequest, engine: Engine, source: Source, target: str, key: str, given: Contexts, show: Show
) -> Built:
    stage = f"{target}-dependencies"
    below, reused = _below(request, engine, stage, key, given, show)
    on_top = [*given.options, f"--build-context={stage}=container-image://{below}"]
    if target == "tools":
        on_top += [f"--build-arg=REVISION={source.commit}", f"--build-arg=CREATED={source.created}"]
    reference = f"{request.repository}/{target}:{source.commit[:12]}"
    with _shown(show, target) as say:
        engine.build(given.all, target, [*on_top, f"--tag={reference}"])
        image = _inspect(engine, reference)
        say(f"{image.size} with the base")
    with _shown(show, f"{target}-sbom") as say:
        output = f"--output=type=local,dest={request.bills.absolute()}"
        engine.build(given.all, f"{target}-sbom", [*on_top, output])
        bill = request.bills / f"{target}.cdx.json"
        say(str(bill))
    digest = image.digest
    if request.push:
        with _shown(show, f"{target}-push") as say:
            digest = engine.push(reference)
            say(digest)
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


def _below(
    request: BuildRequest, engine: Engine, stage: str, key: str, given: Contexts, show: Show
) -> tuple[str, bool]:
    """Have dependencies where they are wanted; returns their name, and whether they were there."""
    below = f"{request.repository}/{stage}:{key}"
    reused = _reuse(request, engine, below, show)
    if not reused:
        with _shown(show, stage) as say:
            engine.build(given.dependencies, stage, [*given.options, f"--tag={below}"])
            if request.push:
                engine.push(below)
            say(f"{_inspect(engine, below).size} with the base, key {key[:12]}")
    return below, reused


def _reuse(request: BuildRequest, engine: Engine, below: str, show: Show) -> bool:
    """Find the dependencies under their key: where the images are pushed to, or else on this machine."""
    if request.fresh:
        return False
    here = engine.inspect(below) is not None
    if not request.push:
        return here
    with _shown(show, "look-up") as say:
        said = engine.pull(below)
        if said and not is_absent(said):
            raise PlatformError(f"cannot ask for {below}: {said}")
        if said and here:
            engine.push(below)
        say(f"not in the registry: {said}" if said else "the registry has the dependencies")
    return here or not said


def _base(base: str, engine: Engine) -> str:
    """Make sure that the base is here and runs here, and return its digest."""
    image = engine.inspect(base)
    if image is None:
        said = engine.pull(base)
        image = engine.inspect(base)
        if said or image is None:
            raise PlatformError(f"cannot fetch the base image {base}: {said}")
    if image.architecture != native_architecture():
        raise UsageError(
            f"--base {base} is for {image.architecture}, this machine is {native_architecture()}: "
            "name the base for this architecture, or build on a machine of the other"
        )
    named = BY_DIGEST.match(base)
    return named[1] if named else image.digest


def _inspect(engine: Engine, reference: str) -> Image:
    image = engine.inspect(reference)
    if image is None:
        raise PlatformError(f"{engine.name} has built {reference}, and does not find it")
    return image


@contextmanager
def _shown(show: Show, step: str) -> Iterator[Callable[[str], None]]:
    """Tell of a stage's start and end; what it yields takes the end's headline."""
    start, headline = time.monotonic(), [""]
    show({"step": step, "event": "start"})
    yield headline.append
    seconds = time.monotonic() - start
    show({"step": step, "event": "end", "seconds": seconds, "headline": headline[-1]})

"""Build the images of a commit: the dependencies where they are not there yet, then the code on top."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from ml.errors import PlatformError, UsageError
from ml.image.engine import Engine, Image, is_absent
from ml.image.key import BY_DIGEST, TARGETS, Dependencies, dependencies, native_architecture
from ml.image.pip_settings import pip_secrets
from ml.image.source import Source, export

Show = Callable[[dict[str, Any]], None]


class Wish(BaseModel):
    """What to build, and how.

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


def build_images(wish: Wish, engine: Engine, source: Source, show: Show) -> list[Built]:
    """Build each target, one after the other.

    Args:
        wish: what to build.
        engine: what builds it.
        source: the commit, as `ml.image.source` tells.
        show: is told of each stage that starts and ends.

    Raises:
        UsageError: the base is for another architecture, or its name has no digest and none is known.
        RunFailed: a build failed.
        PlatformError: a registry cannot be reached.
    """
    with tempfile.TemporaryDirectory() as folder:
        context, secrets = Path(folder, "context"), Path(folder, "secrets")
        context.mkdir()
        secrets.mkdir(mode=0o700)
        export(wish.checkout, source.commit, context)
        base = _base(wish.base, engine)
        options = [
            *(f"--build-arg={name}={value}" for name, value in _arguments(wish, source).items()),
            *pip_secrets(secrets),
            *(["--no-cache"] if wish.fresh else []),
        ]
        # All of them first: a wrong second target is refused before minutes are spent on the first.
        strange = sorted(set(wish.targets) - set(TARGETS))
        if strange:
            raise UsageError(f"--target {strange[0]}: the images are {' and '.join(TARGETS)}")
        wanted = [dependencies(context, target, wish.python, base) for target in wish.targets]
        return [_build(wish, engine, source, known, context, options, show) for known in wanted]


def _build(
    wish: Wish,
    engine: Engine,
    source: Source,
    known: Dependencies,
    context: Path,
    options: Sequence[str],
    show: Show,
) -> Built:
    target = known.target
    below = f"{wish.repository}/{known.stage}:{known.key}"
    reused = _reuse(wish, engine, below, show)
    if not reused:
        with _shown(show, known.stage) as say:
            # Their date is no commit's: they are the same in each that has their key.
            engine.build(context, known.stage, [*options, "--timestamp=0", f"--tag={below}"])
            if wish.push:
                engine.push(below)
            say(f"{_inspect(engine, below).size} with the base, key {known.key[:12]}")
    on_top = [
        *options,
        f"--timestamp={source.seconds}",
        f"--build-context={known.stage}=container-image://{below}",
    ]
    reference = f"{wish.repository}/{target}:{source.commit[:12]}"
    with _shown(show, target) as say:
        engine.build(context, target, [*on_top, f"--tag={reference}"])
        image = _inspect(engine, reference)
        say(f"{image.size} with the base")
    with _shown(show, f"{target}-sbom") as say:
        engine.build(
            context, f"{target}-sbom", [*on_top, f"--output=type=local,dest={wish.bills.absolute()}"]
        )
        bill = wish.bills / f"{target}.cdx.json"
        say(str(bill))
    digest = image.digest
    if wish.push:
        with _shown(show, f"{target}-push") as say:
            digest = engine.push(reference)
            say(digest)
    return Built(
        target=target,
        reference=reference,
        digest=digest,
        pushed=wish.push,
        size=image.size,
        dependencies=below,
        key=known.key,
        reused=reused,
        bill=str(bill),
    )


def _reuse(wish: Wish, engine: Engine, below: str, show: Show) -> bool:
    """Find the dependencies under their key: where the images are pushed to, or else on this machine."""
    if wish.fresh:
        return False
    here = engine.inspect(below) is not None
    if not wish.push:
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


def _arguments(wish: Wish, source: Source) -> dict[str, str]:
    return {
        "BASE_IMAGE": wish.base,
        "PYTHON": wish.python,
        "REVISION": source.commit,
        "CREATED": source.created,
        "SOURCE": source.url,
    }


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

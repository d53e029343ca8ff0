"""Look up the dependency images of a checkout in a registry by their key, and push those that were built.

Between the two, a step without credentials builds the missing images (tekton/tasks/toolchain.yaml). The steps
exchange two folders: the *plan*, which is read-only for the building step, and the *layouts* that it writes.

    plan/plan.json        the images that the registry has, and the names of the missing ones
    plan/stages           the stages to build, one a line, for the shell
    plan/context/         the files that the dependencies are built from
    layouts/STAGE/        the image of each stage that was built, as an OCI layout
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from ml.core.errors import UsageError
from ml.core.files import write_bytes, write_json
from ml.core.records import Record
from ml.image.key import STAGES, dependencies, keyed_files, write_context
from ml.image.layout import push_layout, read_layout
from ml.image.registry import Registry


class Dependency(BaseModel):
    """A dependency image: its stage, its name with the key as tag, and its name by digest ("" if missing)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    reference: str
    by_digest: str

    @property
    def result(self) -> str:
        """The name of the Task's result."""
        return self.stage.upper().replace("-", "_")


class Plan(Record):
    """The dependency images of a checkout, and which of them the registry lacks."""

    dependencies: tuple[Dependency, ...]

    @property
    def missing(self) -> list[Dependency]:
        """The images that have to be built."""
        return [each for each in self.dependencies if not each.by_digest]


def look_up(
    checkout: Path, python: str, base: str, repository: str, registry: Registry, folder: Path | None
) -> Plan:
    """Look up the dependency images of a checkout in a registry.

    Args:
        checkout: the checkout.
        python: the Python version of the base image, as 3.12.
        base: the digest of the base image.
        repository: the image names before the stage.
        registry: how it is reached.
        folder: the folder to write the plan to, or None.

    Raises:
        UsageError: a file that the key is made of is missing, or a link.
        PlatformError: the registry cannot be reached, or refuses.
    """
    files, images = keyed_files(checkout), []
    key = dependencies(files, python, base).key
    for stage in STAGES:
        digest = registry.digest(f"{repository}/{stage}:{key}")
        by_digest = f"{repository}/{stage}@{digest}" if digest else ""
        images.append(Dependency(stage=stage, reference=f"{repository}/{stage}:{key}", by_digest=by_digest))
    plan = Plan(dependencies=tuple(images))
    if folder:
        write_context(files, folder / "context")
        write_bytes(folder / "stages", "".join(f"{each.stage}\n" for each in plan.missing).encode())
        write_json(folder / "plan.json", plan)
    return plan


def push_missing(folder: Path, layouts: Path, registry: Registry) -> Plan:
    """Push the images that were built, and return the plan with nothing missing.

    Args:
        folder: the folder with the plan of `look_up`.
        layouts: the folder with the layout of each missing image, by stage.
        registry: how it is reached.

    Raises:
        UsageError: the folder has no plan.
        RunFailed: a layout is missing, or differs from its digests; nothing is pushed.
        PlatformError: the registry cannot be reached, or refuses.
    """
    try:
        plan = Plan.model_validate_json((folder / "plan.json").read_bytes())
    except (OSError, ValidationError) as error:
        raise UsageError(f"{folder} has no plan; `jukebox ci toolchain --plan` writes one") from error
    built = {each.stage: read_layout(layouts / each.stage) for each in plan.missing}
    pushed = {}
    for each in plan.missing:
        digest = push_layout(built[each.stage], each.reference, registry)
        by_digest = f"{each.reference.rpartition(':')[0]}@{digest}"
        pushed[each.stage] = each.model_copy(update={"by_digest": by_digest})
    return Plan(dependencies=tuple(pushed.get(each.stage, each) for each in plan.dependencies))

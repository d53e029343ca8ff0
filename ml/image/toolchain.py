"""Find the dependencies of a checkout in a registry by their key, and push those that had to be built.

Between the two, a step without any credential builds what is missing (tekton/tasks/toolchain.yaml). They hand
over in folders: the *plan*, which the building step can only read, and the *layouts* that it writes.

    plan/plan.json        what was found, and what is to be pushed under which name
    plan/stages           the stages to build, one a line, for the shell
    plan/context/         the files that dependencies are built from
    layouts/STAGE/        what was built: an OCI layout each
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
    """One image of dependencies: its stage, its name with the key as tag, its name by digest or ""."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    reference: str
    by_digest: str

    @property
    def result(self) -> str:
        """The name of the Task's result."""
        return self.stage.upper().replace("-", "_")


class Plan(Record):
    """What a registry has of a checkout's dependencies, and what it lacks."""

    dependencies: tuple[Dependency, ...]

    @property
    def missing(self) -> list[Dependency]:
        """What is to be built."""
        return [each for each in self.dependencies if not each.by_digest]


def look_up(
    checkout: Path, python: str, base: str, repository: str, registry: Registry, folder: Path | None
) -> Plan:
    """Ask a registry for the dependencies of a checkout.

    Args:
        checkout: the checkout.
        python: the base's Python, as 3.12.
        base: the digest of the base image.
        repository: the images' names before the stage.
        registry: how it is reached.
        folder: where the plan is written to; None for nowhere.

    Raises:
        UsageError: a file that they follow from is missing or a link.
        PlatformError: the registry cannot be reached, or refuses.
    """
    files, found = keyed_files(checkout), []
    key = dependencies(files, python, base).key
    for stage in STAGES:
        digest = registry.digest(f"{repository}/{stage}:{key}")
        by_digest = f"{repository}/{stage}@{digest}" if digest else ""
        found.append(Dependency(stage=stage, reference=f"{repository}/{stage}:{key}", by_digest=by_digest))
    plan = Plan(dependencies=tuple(found))
    if folder:
        write_context(files, folder / "context")
        write_bytes(folder / "stages", "".join(f"{each.stage}\n" for each in plan.missing).encode())
        write_json(folder / "plan.json", plan)
    return plan


def push_missing(folder: Path, layouts: Path, registry: Registry) -> Plan:
    """Push what was built, and return the plan with nothing missing.

    Args:
        folder: where `look_up` has written its plan.
        layouts: by stage, the layout of each image that was missing.
        registry: how it is reached.

    Raises:
        UsageError: the folder has no plan.
        RunFailed: a layout is missing, or not what its digests say; then nothing is pushed.
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

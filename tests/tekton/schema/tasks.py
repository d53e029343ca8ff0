"""A Task of tekton.dev/v1."""

from typing import Annotated, Any, Literal

from pydantic import StringConstraints
from tekton.schema.common import (
    ConfigMapVolume,
    Duration,
    Env,
    Mount,
    Name,
    ProjectedVolume,
    Resources,
    SecretVolume,
    SecurityContext,
    Strict,
    Text,
)


class Volume(Strict):
    name: Name
    empty_dir: dict[str, Any] | None = None
    config_map: ConfigMapVolume | None = None
    secret: SecretVolume | None = None
    projected: ProjectedVolume | None = None


class StepWorkspace(Strict):
    name: Name


class Step(Strict):
    name: Name
    image: Text
    script: Text
    timeout: Duration | None = None
    workspaces: list[StepWorkspace] = []
    env: list[Env] = []
    compute_resources: Resources
    security_context: SecurityContext | None = None
    volume_mounts: list[Mount] = []


class StepTemplate(Strict):
    env: list[Env] = []
    security_context: SecurityContext | None = None
    volume_mounts: list[Mount] = []


class Param(Strict):
    name: Name
    description: Text
    default: str | None = None


class Result(Strict):
    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][\w-]*$")]
    description: Text
    type: Literal["string", "object"] = "string"
    properties: dict[str, dict[str, str]] = {}


class TaskWorkspace(Strict):
    name: Name
    description: Text
    optional: bool = False
    read_only: bool = False
    mount_path: Annotated[str, StringConstraints(pattern="^/")] | None = None


class TaskSpec(Strict):
    description: Text
    params: list[Param] = []
    workspaces: list[TaskWorkspace] = []
    results: list[Result] = []
    volumes: list[Volume] = []
    step_template: StepTemplate
    steps: list[Step]

"""A Pipeline, a PipelineRun and a TaskRun of tekton.dev/v1."""

from typing import Literal

from pydantic import Field
from tekton.schema.common import Duration, Name, Named, Quantity, SecretVolume, SecurityContext, Strict, Text
from tekton.schema.tasks import Param


class Value(Strict):
    name: Name
    value: str


class When(Strict):
    input: str
    operator: Literal["in", "notin"]
    values: list[str]


class PipelineTaskWorkspace(Strict):
    name: Name
    workspace: Name
    sub_path: Name | None = None


class PipelineTask(Strict):
    name: Name
    task_ref: Named
    timeout: Duration
    retries: int = 0
    run_after: list[Name] = []
    when: list[When] = []
    params: list[Value] = []
    workspaces: list[PipelineTaskWorkspace] = []


class PipelineResult(Strict):
    name: str
    description: Text
    type: Literal["string", "object"] = "string"
    value: str | dict[str, str]


class PipelineWorkspace(Strict):
    name: Name
    description: Text
    optional: bool = False


class PipelineSpec(Strict):
    description: Text
    params: list[Param]
    workspaces: list[PipelineWorkspace]
    tasks: list[PipelineTask]
    final: list[PipelineTask] = Field(alias="finally")
    results: list[PipelineResult]


class ClaimResources(Strict):
    requests: dict[Literal["storage"], Quantity]


class ClaimSpec(Strict):
    access_modes: list[Literal["ReadWriteOnce"]]
    resources: ClaimResources


class Claim(Strict):
    spec: ClaimSpec


class ClaimVolume(Strict):
    claim_name: Name


class RunWorkspace(Strict):
    name: Name
    volume_claim_template: Claim | None = None
    secret: SecretVolume | None = None
    config_map: Named | None = None


class PodTemplate(Strict):
    security_context: SecurityContext


class TaskRunTemplate(Strict):
    service_account_name: Name
    pod_template: PodTemplate | None = None


class PipelineTaskRunSpec(Strict):
    pipeline_task_name: Name
    service_account_name: Name


class Timeouts(Strict):
    pipeline: Duration
    tasks: Duration
    final: Duration = Field(alias="finally")


class PipelineRunSpec(Strict):
    pipeline_ref: Named
    params: list[Value]
    workspaces: list[RunWorkspace]
    task_run_template: TaskRunTemplate
    task_run_specs: list[PipelineTaskRunSpec]
    timeouts: Timeouts


class TaskRunWorkspace(Strict):
    name: Name
    sub_path: Name | None = None
    persistent_volume_claim: ClaimVolume


class TaskRunSpec(Strict):
    task_ref: Named
    params: list[Value]
    workspaces: list[TaskRunWorkspace] = []
    service_account_name: Name
    timeout: Duration

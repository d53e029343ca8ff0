"""The shape of every object: the fields of its API that this project uses, and no other.

Admission accepts unknown fields in several places (`comand` in a Task; anything in a TriggerTemplate), so
each kind has a model here. After the API references of Tekton Pipelines v1, Triggers v1beta1, Kubernetes and
OpenShift.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
Duration = Annotated[str, StringConstraints(pattern=r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?$", min_length=2)]
Quantity = Annotated[str | int, Field(union_mode="left_to_right")]
Text = Annotated[str, StringConstraints(min_length=1)]


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, strict=True)


class Metadata(Strict):
    name: str = ""
    generate_name: str = ""
    namespace: Name = "default"
    labels: dict[str, str]
    annotations: dict[str, str] = {}


class Named(Strict):
    name: Name
    kind: str = ""


class Capabilities(Strict):
    add: list[str] = []
    drop: list[str] = []


class Seccomp(Strict):
    type: Literal["RuntimeDefault", "Unconfined"]


class SecurityContext(Strict):
    run_as_non_root: bool | None = None
    run_as_user: int | None = None
    read_only_root_filesystem: bool | None = None
    allow_privilege_escalation: bool | None = None
    capabilities: Capabilities = Capabilities()
    seccomp_profile: Seccomp | None = None
    fs_group: int | None = None


class Resources(Strict):
    requests: dict[Literal["cpu", "memory", "storage"], Quantity]
    limits: dict[Literal["cpu", "memory"], Quantity] = {}


class KeyRef(Strict):
    name: Text
    key: Text
    optional: bool = False


class ValueFrom(Strict):
    secret_key_ref: KeyRef


class Env(Strict):
    name: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")]
    value: str | None = None
    value_from: ValueFrom | None = None


class Mount(Strict):
    name: Name
    mount_path: Annotated[str, StringConstraints(pattern="^/")]
    read_only: bool = False


class ConfigMapVolume(Strict):
    name: Name
    optional: bool = False


class Volume(Strict):
    name: Name
    empty_dir: dict[str, Any] | None = None
    config_map: ConfigMapVolume | None = None


class Step(Strict):
    name: Name
    image: Text
    script: Text
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


class TaskSpec(Strict):
    description: Text
    params: list[Param] = []
    workspaces: list[TaskWorkspace] = []
    results: list[Result] = []
    volumes: list[Volume] = []
    step_template: StepTemplate
    steps: list[Step]


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
    value: str


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
    requests: dict[Literal["storage"], str]


class ClaimSpec(Strict):
    access_modes: list[Literal["ReadWriteOnce"]]
    resources: ClaimResources


class Claim(Strict):
    spec: ClaimSpec


class SecretVolume(Strict):
    secret_name: Name


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


class TaskRunSpec(Strict):
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
    task_run_specs: list[TaskRunSpec]
    timeouts: Timeouts


class TriggerRef(Strict):
    trigger_ref: Name


class EventListenerSpec(Strict):
    service_account_name: Name
    triggers: list[TriggerRef]
    resources: dict[Literal["kubernetesResource"], Any]


class CelOverlay(Strict):
    key: Name
    expression: Text


class SecretRef(Strict):
    secret_name: Name
    secret_key: Name


class InterceptorParam(Strict):
    name: Literal["secretRef", "eventTypes", "filter", "overlays"]
    value: SecretRef | list[CelOverlay] | list[str] | str


class InterceptorRef(Strict):
    name: Literal["github", "gitlab", "cel"]
    kind: Literal["ClusterInterceptor"]


class Interceptor(Strict):
    name: Name
    ref: InterceptorRef
    params: list[InterceptorParam]


class TemplateRef(Strict):
    ref: Name


class TriggerSpec(Strict):
    interceptors: list[Interceptor]
    bindings: list[Value]
    template: TemplateRef


class TemplateParam(Strict):
    name: Name
    description: Text


class TriggerTemplateSpec(Strict):
    params: list[TemplateParam]
    resourcetemplates: list[dict[str, Any]] = Field(alias="resourcetemplates")


class Rule(Strict):
    api_groups: list[str]
    resources: list[Text]
    resource_names: list[Name] = []
    verbs: list[Literal["get", "list", "watch", "create", "patch"]]


class RoleRef(Strict):
    api_group: Literal["rbac.authorization.k8s.io"]
    kind: Literal["Role", "ClusterRole"]
    name: str


class Subject(Strict):
    kind: Literal["ServiceAccount"]
    name: Name
    namespace: Name = "default"


class RouteSpec(Strict):
    to: dict[str, Any]
    port: dict[str, str]
    tls: dict[Literal["termination", "insecureEdgeTerminationPolicy"], str]


class NetworkPolicySpec(Strict):
    pod_selector: dict[Literal["matchLabels", "matchExpressions"], Any]
    policy_types: list[Literal["Ingress", "Egress"]]
    ingress: list[dict[Literal["ports", "from"], Any]] = []
    egress: list[dict[Literal["ports", "to"], Any]] = []


SPECS: dict[tuple[str, str], Any] = {
    ("tekton.dev/v1", "Task"): TaskSpec,
    ("tekton.dev/v1", "Pipeline"): PipelineSpec,
    ("tekton.dev/v1", "PipelineRun"): PipelineRunSpec,
    ("triggers.tekton.dev/v1beta1", "EventListener"): EventListenerSpec,
    ("triggers.tekton.dev/v1beta1", "Trigger"): TriggerSpec,
    ("triggers.tekton.dev/v1beta1", "TriggerTemplate"): TriggerTemplateSpec,
    ("route.openshift.io/v1", "Route"): RouteSpec,
    ("networking.k8s.io/v1", "NetworkPolicy"): NetworkPolicySpec,
}
"""Kinds with a spec."""

FIELDS: dict[tuple[str, str], dict[str, Any]] = {
    ("v1", "ServiceAccount"): {"automountServiceAccountToken": bool},
    ("v1", "ConfigMap"): {"data": dict[str, str]},
    ("rbac.authorization.k8s.io/v1", "Role"): {"rules": list[Rule]},
    ("rbac.authorization.k8s.io/v1", "ClusterRole"): {"rules": list[Rule]},
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): {"roleRef": RoleRef, "subjects": list[Subject]},
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"): {"roleRef": RoleRef, "subjects": list[Subject]},
}
"""Kinds without one: what they have beside apiVersion, kind and metadata."""


def problems(found: dict[str, Any]) -> list[str]:
    """Return what is wrong with an object's shape, each with its place."""
    from pydantic import TypeAdapter

    kind = found.get("apiVersion", ""), found.get("kind", "")
    what = f"{kind[1]} {found.get('metadata', {}).get('name', '')}"
    if kind in SPECS:
        fields: dict[str, Any] = {"spec": SPECS[kind]}
    elif kind in FIELDS:
        fields = FIELDS[kind]
    else:
        return [f"{what}: no schema for {kind[0]} {kind[1]}"]
    told = [
        f"{what}: {name}: unknown field"
        for name in found.keys() - {"apiVersion", "kind", "metadata", *fields}
    ]
    for name, model in {"metadata": Metadata, **fields}.items():
        if name not in found:
            # A config map may be filled in by the cluster.
            told += [] if kind[1] == "ConfigMap" else [f"{what}: {name} is missing"]
            continue
        try:
            TypeAdapter(model).validate_python(found[name])
        except ValidationError as error:
            told += [
                f"{what}: {'.'.join(map(str, (name, *each['loc'])))}: {each['msg']}"
                for each in error.errors()
            ]
    return told

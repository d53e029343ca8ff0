"""What is Kubernetes' and OpenShift's own: rights, networks, the Route, the CronJob."""

from typing import Annotated, Any, Literal

from pydantic import Field
from tekton.schema.common import (
    Env,
    Mount,
    Name,
    Quantity,
    Resources,
    SecurityContext,
    Strict,
    Text,
)

FilledSecret = Literal["kubernetes.io/service-account-token"]
"""The type of a secret that the cluster fills in: no other is in a file."""


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


class RouteTarget(Strict):
    kind: Literal["Service"]
    name: Name
    weight: int


class RouteSpec(Strict):
    to: RouteTarget
    port: dict[Literal["targetPort"], str]
    tls: dict[Literal["termination", "insecureEdgeTerminationPolicy"], str]


class IngressPort(Strict):
    number: int


class IngressService(Strict):
    name: Name
    port: IngressPort


class IngressPath(Strict):
    path: Annotated[str, Field(pattern="^/")]
    path_type: Literal["Exact", "Prefix"]
    backend: dict[Literal["service"], IngressService]


class IngressRule(Strict):
    host: Name
    http: dict[Literal["paths"], list[IngressPath]]


class IngressTls(Strict):
    hosts: list[Name]
    secret_name: Name


class IngressSpec(Strict):
    ingress_class_name: Name
    tls: Annotated[list[IngressTls], Field(min_length=1)]
    rules: list[IngressRule]


class NetworkPolicySpec(Strict):
    pod_selector: dict[Literal["matchLabels", "matchExpressions"], Any]
    policy_types: list[Literal["Ingress", "Egress"]]
    ingress: list[dict[Literal["ports", "from"], Any]] = []
    egress: list[dict[Literal["ports", "to"], Any]] = []


class EmptyDir(Strict):
    size_limit: Quantity


class PodVolume(Strict):
    name: Name
    empty_dir: EmptyDir


class Container(Strict):
    name: Name
    image: Text
    image_pull_policy: Literal["IfNotPresent", "Always"] | None = None
    command: list[str] = []
    args: list[str] = []
    env: list[Env] = []
    resources: Resources
    security_context: SecurityContext
    volume_mounts: list[Mount] = []


class PodSpec(Strict):
    service_account_name: Name
    automount_service_account_token: bool | None = None
    restart_policy: Literal["Never", "OnFailure"]
    security_context: SecurityContext | None = None
    containers: Annotated[list[Container], Field(min_length=1)]
    volumes: list[PodVolume] = []


class PodMetadata(Strict):
    labels: dict[str, str] = {}


class Pod(Strict):
    metadata: PodMetadata = PodMetadata()
    spec: PodSpec


class JobSpec(Strict):
    backoff_limit: int | None = None
    active_deadline_seconds: int | None = None
    ttl_seconds_after_finished: int | None = None
    template: Pod


class Job(Strict):
    metadata: PodMetadata = PodMetadata()
    spec: JobSpec


class CronJobSpec(Strict):
    schedule: Annotated[str, Field(pattern=r"^([0-9*,/-]+ ){4}[0-9*,/-]+$")]
    time_zone: Text | None = None
    concurrency_policy: Literal["Allow", "Forbid", "Replace"] = "Allow"
    starting_deadline_seconds: int | None = None
    successful_jobs_history_limit: int | None = None
    failed_jobs_history_limit: int | None = None
    suspend: bool | None = None
    job_template: Job

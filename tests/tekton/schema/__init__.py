"""The shape of every YAML below tekton/: the fields of its API that this project uses, and no other.

Admission accepts unknown fields in several places (`comand` in a Task; anything in a TriggerTemplate), so
each kind has a model here. After the API references of Tekton Pipelines v1, Triggers v1beta1, Kubernetes,
OpenShift, the Prometheus operator and kustomize.
"""

from typing import Any

from pydantic import TypeAdapter, ValidationError
from tekton.schema import cluster, kustomize, pipelines, senders, tasks, triggers
from tekton.schema.catalog import CatalogMetadata
from tekton.schema.common import Metadata

RBAC = "rbac.authorization.k8s.io/v1"
BINDING = {"metadata": Metadata, "roleRef": cluster.RoleRef, "subjects": list[cluster.Subject]}
ROLE = {"metadata": Metadata, "rules": list[cluster.Rule]}
SPECS: dict[tuple[str, str], Any] = {
    ("tekton.dev/v1", "PipelineRun"): pipelines.PipelineRunSpec,
    ("tekton.dev/v1", "TaskRun"): pipelines.TaskRunSpec,
    ("v1", "PersistentVolumeClaim"): pipelines.ClaimSpec,
    ("triggers.tekton.dev/v1beta1", "EventListener"): triggers.EventListenerSpec,
    ("triggers.tekton.dev/v1beta1", "Trigger"): triggers.TriggerSpec,
    ("triggers.tekton.dev/v1beta1", "TriggerTemplate"): triggers.TriggerTemplateSpec,
    ("route.openshift.io/v1", "Route"): cluster.RouteSpec,
    ("networking.k8s.io/v1", "NetworkPolicy"): cluster.NetworkPolicySpec,
    ("networking.k8s.io/v1", "Ingress"): cluster.IngressSpec,
    ("batch/v1", "CronJob"): cluster.CronJobSpec,
    ("pipelinesascode.tekton.dev/v1alpha1", "Repository"): senders.RepositorySpec,
    ("monitoring.coreos.com/v1", "PrometheusRule"): senders.PrometheusRuleSpec,
    ("monitoring.coreos.com/v1beta1", "AlertmanagerConfig"): senders.AlertmanagerConfigSpec,
}
"""Kinds that have metadata and a spec."""

FIELDS: dict[tuple[str, str], dict[str, Any]] = {
    ("v1", "ServiceAccount"): {"metadata": Metadata, "automountServiceAccountToken": bool},
    ("v1", "ConfigMap"): {"metadata": Metadata, "data": dict[str, str]},
    ("v1", "Secret"): {"metadata": Metadata, "type": cluster.FilledSecret},
    (RBAC, "Role"): ROLE,
    (RBAC, "ClusterRole"): ROLE,
    (RBAC, "RoleBinding"): BINDING,
    (RBAC, "ClusterRoleBinding"): BINDING,
    ("tekton.dev/v1", "Task"): {"metadata": CatalogMetadata, "spec": tasks.TaskSpec},
    ("tekton.dev/v1", "Pipeline"): {"metadata": CatalogMetadata, "spec": pipelines.PipelineSpec},
    **{kind: {"metadata": Metadata, "spec": spec} for kind, spec in SPECS.items()},
}
"""What each kind has beside apiVersion and kind."""

WHOLE: dict[str, Any] = {
    "Kustomization": kustomize.Kustomization,
    "Component": kustomize.Component,
    "runs/claim.yaml": pipelines.Claim,
    "overlays/kubernetes/pod-template.yaml": pipelines.PodTemplate,
}
"""What is no object of a cluster, by its kind or the name of its file."""


def problems(found: dict[str, Any], file: str = "") -> list[str]:
    """Return what is wrong with a document's shape, each with its place.

    Args:
        found: the document.
        file: its name below tekton/, for those that have no kind.
    """
    kind = found.get("apiVersion", ""), found.get("kind", "")
    whole = WHOLE.get(file) or WHOLE.get(kind[1])
    if whole:
        return _told(file, whole, found)
    what = f"{kind[1]} {found.get('metadata', {}).get('name', '')}"
    if kind not in FIELDS:
        return [f"{what}: no schema for {kind[0]} {kind[1]}"]
    fields = FIELDS[kind]
    told = [f"{what}: {name}: unknown field" for name in found.keys() - {"apiVersion", "kind", *fields}]
    for name, model in fields.items():
        if name in found:
            told += _told(f"{what}: {name}", model, found[name])
        elif kind[1] != "ConfigMap":
            # A config map may be filled in by the cluster.
            told.append(f"{what}: {name} is missing")
    return told


def _told(what: str, model: Any, value: Any) -> list[str]:
    try:
        TypeAdapter(model).validate_python(value)
    except ValidationError as error:
        return [f"{what}: {'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
    return []

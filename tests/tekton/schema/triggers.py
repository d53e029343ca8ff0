"""EventListener, Trigger and TriggerTemplate of triggers.tekton.dev/v1beta1."""

from typing import Any, Literal

from pydantic import Field
from tekton.schema.common import Name, Resources, Strict, Text
from tekton.schema.pipelines import Value


class TriggerRef(Strict):
    trigger_ref: Name


class ListenerContainer(Strict):
    resources: Resources


class ListenerPod(Strict):
    containers: list[ListenerContainer]


class ListenerTemplate(Strict):
    spec: ListenerPod


class ListenerWorkload(Strict):
    template: ListenerTemplate


class KubernetesResource(Strict):
    service_type: Literal["ClusterIP"]
    spec: ListenerWorkload


class ListenerResources(Strict):
    kubernetes_resource: KubernetesResource


class EventListenerSpec(Strict):
    service_account_name: Name
    triggers: list[TriggerRef]
    resources: ListenerResources


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

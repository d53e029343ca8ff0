"""What those who send events have: Prometheus' rules and Alertmanager's routes (monitoring.coreos.com)."""

from typing import Annotated, Literal

from pydantic import Field
from tekton.schema.common import Duration, Name, Strict, Text


class AlertRule(Strict):
    alert: Annotated[str, Field(pattern=r"^[A-Za-z0-9_:.-]+$")]
    expr: Text
    for_: Annotated[Duration | None, Field(alias="for")] = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class RuleGroup(Strict):
    name: Text
    interval: Duration | None = None
    rules: Annotated[list[AlertRule], Field(min_length=1)]


class PrometheusRuleSpec(Strict):
    groups: Annotated[list[RuleGroup], Field(min_length=1)]


class RepositorySettings(Strict):
    """Pipelines-as-Code writes its fields with underscores."""

    provenance: Annotated[Literal["default_branch"], Field(alias="pipelinerun_provenance")]


class RepositorySpec(Strict):
    url: Annotated[str, Field(pattern="^https://")]
    settings: RepositorySettings


class Matcher(Strict):
    name: Text
    value: str
    match_type: Literal["=", "!=", "=~", "!~"] = "="


class AlertRoute(Strict):
    receiver: Text
    group_by: list[str] = []
    group_wait: Duration | None = None
    group_interval: Duration | None = None
    repeat_interval: Duration | None = None
    matchers: list[Matcher] = []
    # Routes nest; the operator's own type for that is any JSON.
    routes: list["AlertRoute"] = []


class Credentials(Strict):
    name: Name
    key: Name


class Authorization(Strict):
    type: Literal["Bearer"] = "Bearer"
    credentials: Credentials


class HttpConfig(Strict):
    authorization: Authorization


class WebhookConfig(Strict):
    url: Text
    send_resolved: bool | None = None
    max_alerts: int | None = None
    http_config: HttpConfig


class Receiver(Strict):
    name: Text
    webhook_configs: list[WebhookConfig] = []


class AlertmanagerConfigSpec(Strict):
    route: AlertRoute
    receivers: Annotated[list[Receiver], Field(min_length=1)]

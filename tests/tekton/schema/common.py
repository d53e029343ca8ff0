"""What objects of several APIs have in common: metadata, variables, rights, resources."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
Duration = Annotated[str, StringConstraints(pattern=r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?$", min_length=2)]
Quantity = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|Ki|Mi|Gi)?$")]
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
    requests: dict[Literal["cpu", "memory", "storage", "ephemeral-storage"], Quantity]
    limits: dict[Literal["cpu", "memory", "ephemeral-storage"], Quantity] = {}


class KeyRef(Strict):
    name: Text
    key: Text
    optional: bool = False


class FieldRef(Strict):
    field_path: Literal[
        "metadata.labels['tekton.dev/pipelineRun']", "metadata.annotations['jukebox/superseded-by']"
    ]


class SecretValue(Strict):
    secret_key_ref: KeyRef


class FieldValue(Strict):
    field_ref: FieldRef


class Env(Strict):
    name: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")]
    value: str | None = None
    value_from: SecretValue | FieldValue | None = None


class Mount(Strict):
    name: Annotated[str, StringConstraints(pattern=r"^([a-z0-9-]+|\$\(workspaces\.[a-z-]+\.volume\))$")]
    mount_path: Annotated[str, StringConstraints(pattern="^/")]
    sub_path: Annotated[str, StringConstraints(pattern=r"^[\w-]+(/[\w.-]+)*$")] | None = None
    read_only: bool = False


class ConfigMapVolume(Strict):
    name: Name
    optional: bool = False


class SecretVolume(Strict):
    secret_name: Text
    optional: bool = False


class Token(Strict):
    audience: Text
    expiration_seconds: Annotated[int, Field(ge=600)]
    path: Text


class TokenSource(Strict):
    service_account_token: Token


class ProjectedVolume(Strict):
    sources: list[TokenSource]

"""Kustomizations and Components: the files that kustomize itself reads."""

from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, TypeAdapter
from tekton.schema.common import Name, Strict, Text


class Select(Strict):
    group: str | None = None
    version: str | None = None
    kind: Text | None = None
    name: Text | None = None
    label_selector: Text | None = None


class Operation(Strict):
    op: Literal["add", "replace", "remove"]
    path: Annotated[str, Field(pattern=r"^/")]
    value: Any = None


def _operations(patch: Any) -> Any:
    """A patch is text with a list of operations in it."""
    TypeAdapter(list[Operation]).validate_python(yaml.safe_load(patch))
    return patch


class Patch(Strict):
    target: Select
    patch: Annotated[str, BeforeValidator(_operations)]


class Source(Strict):
    kind: Text
    name: Name
    field_path: Text


class Options(Strict):
    delimiter: Text | None = None
    index: int = 0
    create: bool = False


class Target(Strict):
    select: Select
    reject: list[Select] = []
    field_paths: Annotated[list[Text], Field(min_length=1)]
    options: Options | None = None


class Replacement(Strict):
    source: Source
    targets: Annotated[list[Target], Field(min_length=1)]


class GeneratorOptions(Strict):
    disable_name_suffix_hash: bool | None = None
    labels: dict[str, str] = {}


class Generator(Strict):
    name: Name
    behavior: Literal["merge"] | None = None
    envs: list[Text] = []
    files: list[Text] = []
    options: GeneratorOptions | None = None


class Component(Strict):
    api_version: Literal["kustomize.config.k8s.io/v1alpha1"]
    kind: Literal["Component"]
    resources: list[Text] = []
    patches: list[Patch] = []
    replacements: list[Replacement] = []


class Kustomization(Strict):
    api_version: Literal["kustomize.config.k8s.io/v1beta1"]
    kind: Literal["Kustomization"]
    resources: list[Text] = []
    components: list[Text] = []
    config_map_generator: list[Generator] = []
    patches: list[Patch] = []
    replacements: list[Replacement] = []

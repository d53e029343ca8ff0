"""The metadata that Tekton's catalogue asks of a Task or Pipeline: its version, and what a hub shows."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints
from tekton.schema.common import Name, Strict, Text

CATEGORIES = {
    "Automation",
    "Build Tools",
    "CLI",
    "Cloud",
    "Code Quality",
    "Continuous Integration",
    "Deployment",
    "Developer Tools",
    "Image Build",
    "Integration & Delivery",
    "Git",
    "Kubernetes",
    "Messaging",
    "Monitoring",
    "Networking",
    "Openshift",
    "Publishing",
    "Security",
    "Storage",
    "Testing",
}
"""Those that Tekton Hub knows."""


def _known(categories: str) -> str:
    unknown = set(categories.split(", ")) - CATEGORIES
    assert not unknown, f"no category of Tekton Hub: {', '.join(sorted(unknown))}"
    return categories


Version = Annotated[str, StringConstraints(pattern=r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$")]
Tags = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+(, [a-z0-9-]+)*$")]
Platforms = Annotated[str, StringConstraints(pattern=r"^linux/[a-z0-9]+(,linux/[a-z0-9]+)*$")]
Categories = Annotated[str, AfterValidator(_known)]


class CatalogLabels(Strict):
    part_of: Literal["jukebox"] = Field(alias="app.kubernetes.io/part-of")
    version: Version = Field(alias="app.kubernetes.io/version")


class CatalogAnnotations(Strict):
    display_name: Text = Field(alias="tekton.dev/displayName")
    categories: Categories = Field(alias="tekton.dev/categories")
    tags: Tags = Field(alias="tekton.dev/tags")
    min_version: Version = Field(alias="tekton.dev/pipelines.minVersion")
    platforms: Platforms = Field(alias="tekton.dev/platforms")


class CatalogMetadata(Strict):
    name: Name
    namespace: Name = "default"
    labels: CatalogLabels
    annotations: CatalogAnnotations

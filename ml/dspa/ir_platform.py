"""The platform's part of the IR as far as we know it: what an executor is given of Kubernetes.

Volumes of other kinds, security contexts, tolerations, affinities, pod metadata and fields of the pod as
variables are not here, and are refused.
"""

from typing import Annotated

from pydantic import Field

from ml.core.records import Text
from ml.dspa.ir import Part


class SecretKey(Part):
    """A key of a secret as a variable."""

    env_var: Text
    secret_key: Text


class SecretAsEnv(Part):
    """A secret as variables."""

    key_to_env: list[SecretKey]
    secret_name: Text


class SecretAsVolume(Part):
    """A secret as files."""

    mount_path: Text
    secret_name: Text


class ConfigMapKey(Part):
    """A key of a config map as a variable."""

    config_map_key: Text
    env_var: Text


class ConfigMapAsEnv(Part):
    """A config map as variables."""

    config_map_name: Text
    key_to_env: list[ConfigMapKey]


class ConfigMapAsVolume(Part):
    """A config map as files."""

    config_map_name: Text
    mount_path: Text


class ClaimMount(Part):
    """A claim, by its name and no other reference."""

    constant: Text
    mount_path: Text


class PullSecret(Part):
    """A secret to pull the image with."""

    secret_name: Text


class NodeSelector(Part):
    """Labels of the nodes that a step may run on."""

    labels: dict[str, str]


class Given(Part):
    """What one executor is given of the cluster."""

    active_deadline_seconds: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8}$")]
    config_map_as_env: list[ConfigMapAsEnv] = Field(default_factory=list)
    config_map_as_volume: list[ConfigMapAsVolume] = Field(default_factory=list)
    image_pull_secret: list[PullSecret] = Field(default_factory=list)
    node_selector: NodeSelector = NodeSelector(labels={})
    pvc_mount: list[ClaimMount] = Field(default_factory=list)
    secret_as_env: list[SecretAsEnv] = Field(default_factory=list)
    secret_as_volume: list[SecretAsVolume] = Field(default_factory=list)


class PlatformDeployment(Part):
    """What each executor is given, by name."""

    executors: dict[Text, Given]


class Kubernetes(Part):
    """The part of the platform that we know."""

    deployment_spec: PlatformDeployment


class Platforms(Part):
    """Which platforms the pipeline says something to."""

    kubernetes: Kubernetes


class Platform(Part):
    """The second document of a compiled pipeline."""

    platforms: Platforms

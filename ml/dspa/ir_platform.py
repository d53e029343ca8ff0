"""The accepted part of the platform specification: the Kubernetes settings of an executor.

Other fields are refused: volumes of other kinds, security contexts, tolerations, affinities, pod metadata
and fields of the pod as variables.
"""

from typing import Annotated

from pydantic import Field

from ml.core.records import Text
from ml.dspa.ir import Part


class SecretKey(Part):
    """A key of a secret as an environment variable."""

    env_var: Text
    secret_key: Text


class SecretAsEnv(Part):
    """A secret as environment variables."""

    key_to_env: list[SecretKey]
    secret_name: Text


class SecretAsVolume(Part):
    """A secret as files."""

    mount_path: Text
    secret_name: Text


class ConfigMapKey(Part):
    """A key of a config map as an environment variable."""

    config_map_key: Text
    env_var: Text


class ConfigMapAsEnv(Part):
    """A config map as environment variables."""

    config_map_name: Text
    key_to_env: list[ConfigMapKey]


class ConfigMapAsVolume(Part):
    """A config map as files."""

    config_map_name: Text
    mount_path: Text


class ClaimMount(Part):
    """A claim, referred to by its name."""

    constant: Text
    mount_path: Text


class PullSecret(Part):
    """A secret for pulling the image."""

    secret_name: Text


class NodeSelector(Part):
    """The labels that a step's node must have."""

    labels: dict[str, str]


class Given(Part):
    """The Kubernetes settings of one executor."""

    active_deadline_seconds: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8}$")]
    config_map_as_env: list[ConfigMapAsEnv] = Field(default_factory=list)
    config_map_as_volume: list[ConfigMapAsVolume] = Field(default_factory=list)
    image_pull_secret: list[PullSecret] = Field(default_factory=list)
    node_selector: NodeSelector = NodeSelector(labels={})
    pvc_mount: list[ClaimMount] = Field(default_factory=list)
    secret_as_env: list[SecretAsEnv] = Field(default_factory=list)
    secret_as_volume: list[SecretAsVolume] = Field(default_factory=list)


class PlatformDeployment(Part):
    """The settings of each executor, by name."""

    executors: dict[Text, Given]


class Kubernetes(Part):
    """The settings for Kubernetes."""

    deployment_spec: PlatformDeployment


class Platforms(Part):
    """The platforms that the pipeline has settings for."""

    kubernetes: Kubernetes


class Platform(Part):
    """The second document of a compiled pipeline."""

    platforms: Platforms

"""Typed settings, each with its default, its bounds and what it means."""

from pydantic import BaseModel, ConfigDict, Field


class Hyperparameters(BaseModel):
    """What shapes the training; every field is a typed parameter of the pipeline."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: int = Field(300, ge=1, description="most passes over the training songs")
    patience: int = Field(12, ge=1, description="passes without a better validation loss before stopping")
    batch_size: int = Field(128, ge=1, description="songs in a step")
    learning_rate: float = Field(0.003, gt=0, description="Adam's step size")
    hidden_layers: int = Field(1, ge=1, description="hidden layers")
    hidden_units: int = Field(128, ge=1, description="units in each hidden layer")
    dropout: float = Field(0.5, ge=0, lt=1, description="share of hidden units dropped while training")
    seed: int = Field(7, ge=0, description="seed of weights, order and dropout")


PIPELINE = "jukebox-train"
"""The pipeline's name, and the folder of its runs below a DSPA's pipeline root."""

STORE_MOUNT = "/mnt/jukebox"
"""Where a compiled pipeline, and the Tekton run beside it, mount the claim of ``--store-pvc``."""

LABEL = r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$"
"""A DNS-1123 label: Data Science Pipelines names the volume after the claim, and a volume has no dots."""

SUBDOMAIN = r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)?$"


class Mounts(BaseModel):
    """Cluster objects that are mounted into the steps that read or write outside the run; "" mounts none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store_pvc: str = Field("", pattern=LABEL, description="the claim with store, evidence or tables")
    store_secret: str = Field("", pattern=SUBDOMAIN, description="the data connection with the S3 keys")
    ca_config_map: str = Field("", pattern=LABEL, description="the config map with ca-bundle.crt")

"""Typed settings, each with its default, its bounds and what it means."""

from pydantic import BaseModel, ConfigDict, Field

LOCAL_IMAGE = "localhost/jukebox-python:local"
"""What the IR names when it is compiled without an image: it runs on this machine only."""

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

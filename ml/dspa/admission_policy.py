"""The admission policy: what a compiled pipeline may request from the cluster.

The file is YAML and must have every key. `admission.yaml` beside this module is the default, with the
reason for each key.
"""

import re
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, Field

from ml.core.errors import UsageError
from ml.core.records import Count, Record, Text
from ml.dspa.compiled import IMAGE
from ml.dspa.plain_yaml import read_documents

UNITS = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
UNITS |= {f"{letter}i": 1024.0**power for power, letter in enumerate("KMGT", 1)}
QUANTITY = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)(m|k|M|G|T|Ki|Mi|Gi|Ti|)")


def amount(text: str) -> float:
    """Return a Kubernetes quantity as a number: 0.2 for 200m, 1024 for 1Ki.

    Raises:
        ValueError: it is not a quantity, or has an exponent.
    """
    match = QUANTITY.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not a quantity such as 500m or 2Gi")
    return float(match[1]) * UNITS[match[2]]


def _quantity(text: str) -> str:
    amount(text)
    return text


Quantity = Annotated[str, AfterValidator(_quantity)]


class AdmissionPolicy(Record):
    """What a compiled pipeline may request; `admission.yaml` explains each key."""

    schema_: Literal["jukebox.admission/v1"] = Field(alias="schema")
    images: tuple[Annotated[str, Field(pattern=f"^{IMAGE.pattern}$")], ...]
    secrets: tuple[Text, ...]
    config_maps: tuple[Text, ...]
    claims: tuple[Text, ...]
    image_pull_secrets: tuple[Text, ...]
    node_selector: dict[Text, str]
    service_accounts: tuple[Text, ...]
    max_cpu: Quantity
    max_memory: Quantity
    max_minutes: Count
    max_steps: Count
    max_retries: Count
    pipeline_roots: tuple[Text, ...]
    uris: dict[Text, tuple[Text, ...]]


def read_admission(path: Path | None) -> AdmissionPolicy:
    """Read an admission policy; None reads the package's own.

    Raises:
        UsageError: the file cannot be read, or is not a complete policy.
    """
    try:
        default = resources.files("ml.dspa").joinpath("admission.yaml")
        documents = read_documents((path or default).read_bytes())
        if len(documents) != 1:
            raise ValueError(f"it has {len(documents)} documents, not one")
        return AdmissionPolicy.load(documents[0])
    except OSError as error:
        raise UsageError(f"the admission policy {path} cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"the admission policy {path} is not YAML") from error
    except (TypeError, ValueError) as error:
        raise UsageError(f"the admission policy {path} cannot be used: {error}") from error

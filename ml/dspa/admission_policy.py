"""The admission policy: what a compiled pipeline may ask of the cluster, typed, with nothing by default.

The file is YAML; `admission.yaml` beside this module is the default, with the reason for each key. It must
name every key: a missing one is an error, never a silent default.
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
    """Return what a quantity of Kubernetes amounts to, as 0.2 for 200m and 1024 for 1Ki.

    Raises:
        ValueError: it is not one, or written with an exponent, as only machines do.
    """
    found = QUANTITY.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is not a quantity, as 500m or 2Gi")
    return float(found[1]) * UNITS[found[2]]


def _quantity(text: str) -> str:
    amount(text)
    return text


Quantity = Annotated[str, AfterValidator(_quantity)]


class AdmissionPolicy(Record):
    """What a compiled pipeline may ask for; `admission.yaml` says what each key means."""

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
            raise ValueError(f"{len(documents)} documents, not one")
        return AdmissionPolicy.load(documents[0])
    except OSError as error:
        raise UsageError(f"the admission policy {path} cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"the admission policy {path} is not YAML") from error
    except (TypeError, ValueError) as error:
        raise UsageError(f"the admission policy {path} cannot be used: {error}") from error

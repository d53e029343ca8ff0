"""Promotion: on whose word a model may be promoted. `ml.release` checks it, the gate does not."""

from typing import Annotated, Literal

from pydantic import Field

from ml.core.records import Count, Record
from ml.gate.threshold import threshold


class PromotionPolicy(Record):
    """What may be promoted: on whose word, and for how long that holds."""

    self_checked: Literal["never", "folder", "always"] = threshold(
        "folder",
        "never, folder or always",
        "Where a model may be promoted on the report of its own run, without an attestation. In a local "
        "folder one person is both sides; in a bucket the run could have written what it liked.",
    )
    max_attestation_age_days: Annotated[Count, Field(ge=1)] = threshold(
        30,
        "days",
        "An attestation that is older was made with a judge that has moved on. A repeat takes minutes, "
        "and no training.",
    )

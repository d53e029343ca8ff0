"""Which sample is meant: its URI, its size and its seed. Naming one needs nothing of what makes one."""

from pydantic import BaseModel, ConfigDict, Field

GENERATOR = "1"
"""The version of the generator: the same version and URI give the same tables."""


class SampleSpec(BaseModel):
    """How large a sample to make: songs in the table, days of charts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    songs: int = Field(2000, ge=200, le=1_000_000)
    days: int = Field(14, ge=1, le=3650)
    seed: int = Field(7, ge=0)

    @property
    def uri(self) -> str:
        """The URI under which the sample is asked for in place of a file."""
        return f"sample:songs={self.songs},days={self.days},seed={self.seed}"


def parse_sample_uri(uri: str) -> SampleSpec:
    """Read ``sample:songs=2000,days=14,seed=7``; what is left out has its default.

    Raises:
        ValueError: an unknown or repeated key, not a number, or out of range.
    """
    pairs = [part.partition("=") for part in uri.removeprefix("sample:").split(",") if part]
    values = {key: value for key, _, value in pairs}
    if len(values) != len(pairs):
        raise ValueError(f"{uri}: a key stands twice")
    return SampleSpec.model_validate(values)

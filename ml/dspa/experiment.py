"""What `jukebox doctor` says of one experiment: what was found, and what to change if it failed."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class DoctorCheck(BaseModel):
    """One check: what was found, and what to change if it failed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    result: Literal["ok", "failed", "skipped"]
    found: str = ""
    remedy: str = ""


class Failed(Exception):
    """A check has failed: what was found, and what to change."""

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(found)
        self.found = found
        self.remedy = remedy

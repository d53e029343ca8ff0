"""The result of one check of `jukebox doctor`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class DoctorCheck(BaseModel):
    """One check: its result in detail, and what to change if it failed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    result: Literal["ok", "failed", "skipped"]
    detail: str = ""
    remedy: str = ""


class Failed(Exception):
    """A check has failed: the detail, and what to change."""

    def __init__(self, detail: str, remedy: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.remedy = remedy

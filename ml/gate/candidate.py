"""What a candidate is: the bytes that are served and measured, and nothing that a run says about them."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ml.core.canonical import digest
from ml.core.records import Count, Digest, Record

FileName = Literal["model.keras", "model.onnx", "served.json"]
NATIVE: FileName = "model.keras"
"""The trained model, where it is in the one format that the judge loads."""

CANDIDATE_FILES: tuple[FileName, ...] = (NATIVE, "model.onnx", "served.json")
"""What a candidate may consist of: the trained model, its ONNX export, and how that is to be served."""

REQUIRED = frozenset(CANDIDATE_FILES) - {NATIVE}
"""What each candidate has."""

CandidateId = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class FileEntry(Record):
    """One file: its digest, and its size in bytes."""

    digest: Digest
    size: Count

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Describe the bytes of a file."""
        return cls(digest=digest(data), size=len(data))


class Manifest(Record):
    """What a candidate consists of. Its digest is the candidate's id."""

    schema_: Literal["jukebox.candidate/v2"] = Field("jukebox.candidate/v2", alias="schema")
    files: dict[FileName, FileEntry]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if missing := sorted(REQUIRED - set(self.files)):
            raise ValueError(f"{', '.join(missing)} is missing")
        return self

    @property
    def id(self) -> str:
        """The candidate's id: 64 hexadecimal digits."""
        return digest(self.to_bytes()).removeprefix("sha256:")


def manifest_of(files: Mapping[str, bytes]) -> Manifest:
    """Return the manifest of a candidate's files.

    Args:
        files: the bytes of those of `CANDIDATE_FILES` that there are; others are left out.

    Raises:
        ValueError: one that each candidate has is missing.
    """
    return Manifest(files={name: FileEntry.of(files[name]) for name in CANDIDATE_FILES if name in files})

"""The base class of everything that is stored as JSON, and the types of its fields.

Records are frozen and strict; they refuse unknown keys, NaN and infinity. The steps that measure build their
reports from records, so a number that cannot be stored fails in the step that measured it.
"""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ml.core.canonical import canonical_bytes, parse

# Measured numbers are far below this. It keeps the sums and products of the gate finite.
LARGEST = 1e12

Count = Annotated[int, Field(ge=0, le=int(LARGEST))]
Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
NonNegative = Annotated[float, Field(ge=0, le=LARGEST)]
Share = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, Field(min_length=1)]
Names = Annotated[tuple[str, ...], Field(min_length=1)]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class Record(BaseModel):
    """The base class of what is stored as JSON: frozen and strict, without unknown keys, NaN or infinity."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        protected_namespaces=(),
        serialize_by_alias=True,
    )

    @classmethod
    def load(cls, value: Any) -> Self:
        """Validate a parsed JSON value; where the record has a schema, the value must state it.

        Raises:
            ValueError: the value is not valid; the message names the first wrong field in one line.
        """
        if "schema_" in cls.model_fields and isinstance(value, dict) and "schema" not in value:
            raise ValueError("schema: missing")
        try:
            return cls.model_validate_json(canonical_bytes(value))
        except ValidationError as error:
            raise ValueError(first_problem(error)) from error

    @classmethod
    def from_bytes(cls, data: bytes, what: str) -> Self:
        """Parse a record from its canonical bytes.

        Args:
            data: the bytes.
            what: what the record is called in messages.

        Raises:
            ValueError: the bytes are not a valid record, or not in canonical form.
        """
        try:
            record = cls.load(parse(data))
        except (TypeError, ValueError) as error:
            raise ValueError(f"not {what}: {error}") from error
        if record.to_bytes() != data:
            raise ValueError(f"not {what}: the bytes are not in canonical form")
        return record

    def to_json(self) -> dict[str, Any]:
        """Return the record as a JSON object with the keys that files have (``schema``)."""
        return self.model_dump(mode="json")

    def to_bytes(self) -> bytes:
        """Return the canonical bytes, which are stored, signed and digested."""
        return canonical_bytes(self.to_json())


def first_problem(error: ValidationError) -> str:
    """Return the first problem of a validation as one line: where, and what."""
    # An unknown key comes first: it is often a typo, and the correct key is then reported as missing.
    problems = sorted(error.errors(), key=lambda p: p["type"] != "extra_forbidden")
    first = problems[0]
    where = ".".join(str(part) for part in first["loc"]) or "the document"
    message = {"extra_forbidden": "unknown key", "missing": "missing"}.get(first["type"], first["msg"])
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{where}: {message}{more}"

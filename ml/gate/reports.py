"""The reports that the gate reads: their exact shape, units and schema versions.

Every model is frozen, strict and refuses unknown keys, NaN and infinity. The steps that measure build
these models, so a number that cannot be stored fails where it was measured.
"""

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ml.gate.canonical import canonical_bytes

# Nothing that is measured here comes near these: they keep sums and products of the gate finite.
LARGEST = 1e12
ROUNDING = 1e-9
"""What two ways to sum the same nats may differ by."""

Count = Annotated[int, Field(ge=0, le=int(LARGEST))]
Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
NonNegative = Annotated[float, Field(ge=0, le=LARGEST)]
Share = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, Field(min_length=1)]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]

T = TypeVar("T", bound="Record")


class Record(BaseModel):
    """The base of all that is stored as JSON: frozen, strict, closed, finite."""

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
            ValueError: with one line that names the first wrong field and what is wrong with it.
        """
        if "schema_" in cls.model_fields and isinstance(value, dict) and "schema" not in value:
            raise ValueError("schema: missing")
        try:
            return cls.model_validate_json(canonical_bytes(value))
        except ValidationError as error:
            raise ValueError(first_problem(error)) from error

    def to_json(self) -> dict[str, Any]:
        """Return the record as a JSON object, with ``schema`` spelled as it is in files."""
        return self.model_dump(mode="json")


def first_problem(error: ValidationError) -> str:
    """Say the first problem of a validation in one line: where, and what."""
    # An unknown key first: it is a typo, and the missing key that it stands for is its shadow.
    problems = sorted(error.errors(include_url=False), key=lambda p: p["type"] != "extra_forbidden")
    first = problems[0]
    where = ".".join(str(part) for part in first["loc"]) or "the document"
    message = {"extra_forbidden": "unknown key", "missing": "missing"}.get(first["type"], first["msg"])
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{where}: {message}{more}"


class DataCheck(Record):
    """One check of the data contract: ``value relation bound``."""

    name: str
    value: Number
    relation: Literal["<=", ">="]
    bound: Number
    passed: bool
    detail: str


class DataReport(Record):
    """What `validate` found; counts are rows."""

    schema_: Literal["jukebox.data-report/v1"] = Field("jukebox.data-report/v1", alias="schema")
    data_version: Text
    synthetic: bool
    rankings_rows: Count
    global_rows: Count
    songs_rows: Count
    broken_songs: Count
    checks: tuple[DataCheck, ...]


class Interval(Record):
    """A measured value and its percentile bootstrap interval."""

    value: Number
    low: Number
    high: Number

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        # The ends are sums in another order than the value: they may differ in the last digits.
        if not self.low - ROUNDING <= self.value <= self.high + ROUNDING:
            raise ValueError("the value lies outside of its interval")
        return self


class Loss(Interval):
    """The interval of a log loss."""

    value: NonNegative
    low: NonNegative
    high: NonNegative


class Part(Interval):
    """The interval of a share."""

    value: Share
    low: Share
    high: Share


class Metrics(Record):
    """How well probabilities fit the charts of the test songs.

    Log loss is in nats per chart row. The masses are shares of chart rows that fall on the most
    probable one or five countries. hit@5 is the share of songs that chart in one of their five.
    """

    log_loss: Loss
    top1_mass: Part
    top5_mass: Part
    hit_at_5: Part
    macro_f1: Share
    calibration_error: Share


class CountryScore(Record):
    """The log loss of one country's chart rows (nats), and how many rows there are."""

    log_loss: NonNegative
    prior_log_loss: NonNegative
    rows: Count


class Bootstrap(Record):
    """How the intervals were made: songs are resampled, not chart rows."""

    resamples: Count
    confidence: Share
    seed: int


class Evaluation(Record):
    """What `evaluate` measured on the test split; gains are baseline minus model, in nats."""

    schema_: Literal["jukebox.evaluation/v1"] = Field("jukebox.evaluation/v1", alias="schema")
    keras_digest: Digest
    test_digest: Digest
    songs: Count
    rows: Count
    model: Metrics
    uniform: Metrics
    prior: Metrics
    logistic: Metrics
    gain_over_prior: Interval
    gain_over_logistic: Interval
    countries: dict[str, CountryScore]
    bootstrap: Bootstrap


class Family(Record):
    """One family of inputs on which Keras and the runtime were compared.

    ``worst_ratio`` is the largest ``|difference| / (atol + rtol * |keras|)``: above 1 is a violation.
    Rows whose two best countries are closer than the tolerance are ties, not disagreements.
    """

    name: str
    rows: Count
    batch_sizes: tuple[Count, ...]
    max_difference: NonNegative
    p99_difference: NonNegative
    worst_ratio: NonNegative
    worst_row: str
    violations: Count
    top1_disagreements: Count
    top1_ties: Count
    nonfinite: Count
    row_sum_error: NonNegative


class OnnxMetrics(Record):
    """The ONNX model's own metrics on the test split, as in `Metrics`."""

    log_loss: NonNegative
    top1_mass: Share
    top5_mass: Share
    hit_at_5: Share


class Latency(Record):
    """Single-row latency of the runtime in milliseconds, over so many calls."""

    p50_ms: NonNegative
    p99_ms: NonNegative
    calls: Count


class Parity(Record):
    """What `parity` measured: does the runtime compute what Keras computed?"""

    schema_: Literal["jukebox.parity/v1"] = Field("jukebox.parity/v1", alias="schema")
    keras_digest: Digest
    onnx_digest: Digest
    test_digest: Digest
    runtime: str
    opset: Count
    atol: NonNegative
    rtol: NonNegative
    interface_problems: tuple[str, ...]
    families: tuple[Family, ...]
    onnx: OnnxMetrics
    model_bytes: Count
    latency: Latency

"""The parity report: whether the ONNX model, in each runtime, computes what Keras computed."""

from typing import Any, Literal

from pydantic import Field, field_validator

from ml.gate.records import Count, Digest, NonNegative, Record, Share, Text
from ml.gate.reports.served import Served

SERVED = "served"
"""The runtime of the report that is set up as ``served.json`` says."""


class Family(Record):
    """One family of inputs on which Keras and a runtime were compared.

    ``worst_ratio`` is the largest ``|difference| / (atol + rtol * |keras|)``: above 1 is a violation.
    Rows whose two best countries are closer than the tolerance are ties, not disagreements. ``unanswered``
    counts the rows to which Keras gives NaN, as it must, and ``nonfinite`` the numbers that are finite in
    one of both only.
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
    unanswered: Count
    nonfinite: Count
    row_sum_error: NonNegative


class OnnxMetrics(Record):
    """The ONNX model's own metrics on the test split, as in `Metrics`."""

    log_loss: NonNegative
    top1_mass: Share
    top5_mass: Share
    hit_at_5: Share


class Layouts(Record):
    """What came of the same rows in memory that is not one piece: the same bytes, an error, or others."""

    fortran: Literal["same", "refused", "different"]
    strided: Literal["same", "refused", "different"]
    reversed: Literal["same", "refused", "different"]


class Threads(Record):
    """Calls from threads at the same time, and how many gave other bytes than alone, or an error."""

    threads: Count
    calls: Count
    different: Count


class RuntimeParity(Record):
    """What was measured in one runtime: ``name`` is its part here, ``engine`` what it is.

    ``precision`` is what the engine says that it computes in, and ``settings`` what it was told.
    """

    name: Text
    engine: Text
    version: Text
    precision: Text
    settings: dict[Text, Text]
    families: tuple[Family, ...]
    layouts: Layouts
    threads: Threads
    metrics: OnnxMetrics


class Latency(Record):
    """Single-row latency of the runtime in milliseconds, over so many calls."""

    p50_ms: NonNegative
    p99_ms: NonNegative
    calls: Count


class Parity(Record):
    """What `parity` measured: do the runtimes compute what Keras computed?

    ``served`` is what ``served.json`` says; ``latency`` is that of the runtime set up so.
    """

    schema_: Literal["jukebox.parity/v2"] = Field("jukebox.parity/v2", alias="schema")
    keras_digest: Digest
    onnx_digest: Digest
    test_digest: Digest
    served: Served
    opset: Count
    atol: NonNegative
    rtol: NonNegative
    interface_problems: tuple[str, ...]
    runtimes: tuple[RuntimeParity, ...]
    model_bytes: Count
    latency: Latency

    @field_validator("served", mode="before")
    @classmethod
    def _states_its_version(cls, served: Any) -> Any:
        if isinstance(served, dict) and "schema" not in served:
            raise ValueError("schema: missing")
        return served

"""The parity report: whether the ONNX model, in a runtime, computes what Keras computed."""

from typing import Literal

from pydantic import Field

from ml.gate.records import Count, Digest, NonNegative, Record, Share


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

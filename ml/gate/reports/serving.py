"""The serving report: what a real model server, with the ONNX model, answered over HTTP."""

from typing import Annotated, Literal

from pydantic import Field

from ml.gate.records import LARGEST, Count, Digest, NonNegative, Record, Text
from ml.gate.reports.parity import Latency

Positive = Annotated[float, Field(gt=0, le=LARGEST)]
Size = Annotated[int, Field(ge=1, le=int(LARGEST))]


class Batch(Record):
    """Golden requests of one batch size, compared with Keras's answers to the same rows.

    ``violations`` counts the numbers that differ by more than ``atol + rtol * |keras|``, and ``top1_flips``
    the rows that get another country where Keras's two best are not closer than that.
    """

    size: Size
    requests: Count
    rows: Count
    max_difference: NonNegative
    violations: Count
    top1_flips: Count


class BadRequest(Record):
    """A request that must be refused: the status that it got, 0 where there was no answer."""

    name: Text
    status: Annotated[int, Field(ge=0, le=999)]


class Serving(Record):
    """What `serving` measured: does the model server load the model, answer rightly, and end?

    ``rows`` is how many songs there are to ask about. ``wrong_after_bad`` counts the bad requests after
    which a golden request got another answer than it should. Latency is that of one row over loopback, with
    HTTP and JSON; memory is the peak of all of the server's processes, in 10^6 bytes.
    """

    schema_: Literal["jukebox.serving/v1"] = Field("jukebox.serving/v1", alias="schema")
    keras_digest: Digest
    onnx_digest: Digest
    test_digest: Digest
    served_digest: Digest
    server: Text
    version: Text
    protocol: Literal["v2 over HTTP"]
    interface_problems: tuple[str, ...]
    ready_seconds: NonNegative
    rows: Count
    atol: NonNegative
    rtol: NonNegative
    batches: tuple[Batch, ...]
    bad_requests: tuple[BadRequest, ...]
    wrong_after_bad: Count
    latency: Latency
    peak_memory_mb: Positive
    ended_cleanly: bool
    processes_left: Count

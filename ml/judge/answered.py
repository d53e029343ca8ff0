"""What infer says beside the arrays of answers: one strict JSON record, read by score."""

from typing import Annotated, Literal

from pydantic import Field

from ml.core.records import Digest, Record, Text
from ml.gate.served import Served
from ml.onnx.runtime_answers import ModelFacts, RuntimeFacts
from ml.onnx.serving_scores import ServerFacts

ANSWERED = "answers/answers.json"


class ChampionFacts(Record):
    """What the champion takes and gives; or ``incomparable``: why there are no answers of it."""

    features: Annotated[tuple[Text, ...], Field(max_length=1000)]
    labels: Annotated[tuple[Text, ...], Field(max_length=10_000)]
    incomparable: str


class Answered(Record):
    """What infer found beside the arrays. ``asked`` is the digest of ``asked.json``."""

    schema_: Literal["jukebox.answers/v1"] = Field("jukebox.answers/v1", alias="schema")
    asked: Digest
    isolation: Annotated[dict[Text, Text], Field(max_length=16)]
    served: Served
    model: ModelFacts
    runtimes: tuple[RuntimeFacts, ...]
    server: ServerFacts
    champion: ChampionFacts | None

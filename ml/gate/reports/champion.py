"""The comparison with the champion: the same songs, the same run, the difference song by song.

Differences are oriented so that positive means that the challenger, the model of this run, is better.
"""

from typing import Annotated, Self

from pydantic import Field, model_validator

from ml.gate.records import Count, Digest, NonNegative, Record, Share
from ml.gate.reports.resampling import Bounds

CandidateId = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
NOISE = 1e-6
"""What two runtimes and 32-bit arithmetic may make of one and the same model, in nats and shares."""

TOP = 5
"""With no more countries than this, the five most probable are all, and two of the metrics say nothing."""


class Standing(Record):
    """One metric of both models, and their difference; ``superior``: its lower bound is above `NOISE`."""

    champion: NonNegative
    challenger: NonNegative
    difference: Bounds
    superior: bool


class ShareStanding(Standing):
    """The standing of a metric that is a share."""

    champion: Share
    challenger: Share


class Shared(Record):
    """Both models on what they share: the countries that both know, and the songs that chart there.

    Both models' probabilities are divided by their sum over the shared countries. Chart rows elsewhere are
    left out and counted, and so are songs without any other. ``features`` is how many of ours the champion
    takes. Bounds are one-sided, each wrong with probability ``alpha``; the songs were resampled.
    """

    features: Annotated[int, Field(ge=1)]
    champion_labels: Count
    challenger_labels: Count
    shared_labels: Annotated[int, Field(gt=TOP)]
    songs: Count
    songs_left_out: Count
    rows: Count
    rows_left_out: Count
    log_loss: Standing
    top5_mass: ShareStanding
    hit_at_5: ShareStanding
    resamples: Count
    alpha: Annotated[float, Field(gt=0, lt=0.5)]
    seed: int

    @property
    def standings(self) -> dict[str, Standing]:
        """The standing of each metric, by the metric's name in `ml.gate.reports.evaluation.Metrics`."""
        return {"log_loss": self.log_loss, "top5_mass": self.top5_mass, "hit_at_5": self.hit_at_5}


class Comparison(Record):
    """Which champion the challenger was compared with; ``incomparable`` is why it could not be, or ""."""

    champion: CandidateId
    onnx_digest: Digest
    incomparable: str
    shared: Shared | None

    @model_validator(mode="after")
    def _either(self) -> Self:
        if bool(self.incomparable) == bool(self.shared):
            raise ValueError("there must be either numbers or the reason why there are none")
        return self

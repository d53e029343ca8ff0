"""The thresholds of the gate, typed, a record for each section of the policy.

`policy.yaml` holds each threshold's unit, default, and the reason for it.
"""

from typing import Annotated, Literal

from pydantic import Field

from ml.gate.multiple import Method
from ml.gate.records import Count, NonNegative, Number, Record, Share

Names = Annotated[tuple[str, ...], Field(min_length=1)]


class DataPolicy(Record):
    """Which checks of the data contract must be in the report and pass, and the bounds that are not zero."""

    required_checks: Names
    min_ranking_rows: Count
    min_song_rows: Count
    min_countries: Count
    min_known_songs: Share
    max_broken_songs: Share
    max_unreadable_dates: Share


class DriftPolicy(Record):
    """How far the tables may be from those that the champion was trained on."""

    required_features: Names
    psi_warn: NonNegative
    psi_block: NonNegative
    ks_warn: Share
    ks_block: Share
    country_shift_warn: Share
    country_shift_block: Share
    lost_share_warn: Share
    lost_share_block: Share
    correlation_warn: NonNegative
    correlation_block: NonNegative
    changed_songs_warn: Share
    changed_songs_block: Share
    moved_songs_warn: Share
    moved_songs_block: Share
    twins_warn: Share
    twins_block: Share
    volume_warn: NonNegative
    volume_block: NonNegative
    growth_warn: NonNegative
    growth_block: NonNegative
    known_songs_warn: Share


class EvaluationPolicy(Record):
    """What the model must be worth on songs that it has never seen."""

    min_songs: Annotated[int, Field(ge=1)]
    min_resamples: Annotated[int, Field(ge=1)]
    min_confidence: Share
    min_gain_over_prior_nats: NonNegative
    min_top5_mass_over_prior: Annotated[float, Field(ge=1, le=1000)]
    min_gain_over_logistic_nats: Number


class ChampionPolicy(Record):
    """How much worse than the production model a model may be, and how sure the gate must be."""

    alpha: Annotated[float, Field(gt=0, lt=0.5)]
    min_resamples: Annotated[int, Field(ge=1)]
    min_shared_row_share: Share
    margin_log_loss_nats: NonNegative
    margin_top5_mass: Share
    margin_hit_at_5: Share
    min_power: Annotated[float, Field(gt=0, lt=1)]


class SlicesPolicy(Record):
    """What the model must be worth on each part of the test songs."""

    required: Names
    min_songs: Annotated[int, Field(ge=2)]
    floor_gain_over_prior_nats: Number
    alpha: Annotated[float, Field(gt=0, lt=0.5)]
    method: Method


class ParityPolicy(Record):
    """How closely the ONNX model must follow the Keras model, and in which runtimes."""

    binding_runtimes: Names
    reported_runtimes: Names
    served_precisions: Names
    max_atol: NonNegative
    max_rtol: NonNegative
    required_families: Names
    unanswered_families: Names
    required_batch_sizes: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]
    max_row_sum_error: NonNegative
    max_top1_tie_share: Share
    min_threads: Annotated[int, Field(ge=2)]
    min_thread_calls: Annotated[int, Field(ge=1)]
    max_metric_difference: NonNegative


class ServingPolicy(Record):
    """What a real server with the model must answer and refuse, and what it may cost."""

    max_ready_seconds: NonNegative
    required_batch_sizes: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]
    required_bad_requests: Names
    min_latency_calls: Annotated[int, Field(ge=1)]
    max_p99_latency_ms: NonNegative
    max_memory_mb: NonNegative


class BudgetPolicy(Record):
    """What serving the model may cost."""

    max_model_bytes: Count
    max_p99_latency_ms: NonNegative
    min_latency_calls: Annotated[int, Field(ge=1)]


class PromotionPolicy(Record):
    """What may be promoted: on whose word, and for how long that holds."""

    self_checked: Literal["never", "folder", "always"]
    max_attestation_age_days: Annotated[Count, Field(ge=1)]

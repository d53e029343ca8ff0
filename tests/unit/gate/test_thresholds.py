"""Every threshold of the policy bites: at the measured number and beyond it; no policy, no pass."""

import json

import pytest
from reports import (
    BAD_REQUESTS,
    BINDING,
    DATA_CHECKS,
    FAMILIES,
    FEATURES,
    POLICY,
    dotted,
    edited,
    failing,
    judge,
    passing_reports,
    removed,
    unmet,
)

THRESHOLDS = {
    "data.required_checks": ([*DATA_CHECKS], [*DATA_CHECKS, "songs.loud"], {"data.songs.loud"}),
    "data.min_ranking_rows": (25550, 25551, {"data.rankings.rows"}),
    "data.min_song_rows": (600, 601, {"data.songs.rows"}),
    "data.min_countries": (72, 73, {"data.rankings.countries"}),
    "data.min_known_songs": (0.995, 0.996, {"data.rankings.known_songs"}),
    "data.max_broken_songs": (0.003, 0.0029, {"data.songs.broken"}),
    "data.max_unreadable_dates": (0.004, 0.0039, {"data.rankings.release_date"}),
    "data.max_left_out": (0.01, 0.0099, {"data.left_out"}),
    "drift.required_features": ([*FEATURES], [*FEATURES, "lyrics"], {"drift.features"}),
    "drift.psi_warn": (0.0625, 0.0624, {"drift.psi.early"}),
    "drift.psi_block": (0.0625, 0.0624, {"drift.psi"}),
    "drift.ks_warn": (0.03125, 0.0312, {"drift.ks.early"}),
    "drift.ks_block": (0.03125, 0.0312, {"drift.ks"}),
    "drift.country_shift_warn": (0.125, 0.1249, {"drift.country_shift.early"}),
    "drift.country_shift_block": (0.125, 0.1249, {"drift.country_shift"}),
    "drift.lost_share_warn": (0.0078125, 0.0078, {"drift.lost_countries.early"}),
    "drift.lost_share_block": (0.0078125, 0.0078, {"drift.lost_countries"}),
    "drift.correlation_warn": (0.125, 0.1249, {"drift.correlation.early"}),
    "drift.correlation_block": (0.125, 0.1249, {"drift.correlation"}),
    "drift.changed_songs_warn": (0.00390625, 0.0039, {"drift.changed_songs.early"}),
    "drift.changed_songs_block": (0.00390625, 0.0039, {"drift.changed_songs"}),
    "drift.moved_songs_warn": (0.25, 0.2499, {"drift.moved_songs.early"}),
    "drift.moved_songs_block": (0.25, 0.2499, {"drift.moved_songs"}),
    "drift.twins_warn": (0.0078125, 0.0078, {"drift.twins.early"}),
    "drift.twins_block": (0.0078125, 0.0078, {"drift.twins"}),
    "drift.volume_warn": (1.1, 1.11, {"drift.volume.early"}),
    "drift.volume_block": (1.1, 1.11, {"drift.volume"}),
    "drift.growth_warn": (1.25, 1.249, {"drift.growth.early"}),
    "drift.growth_block": (1.25, 1.249, {"drift.growth"}),
    "drift.known_songs_warn": (0.512, 0.513, {"drift.known_songs"}),
    "evaluation.min_songs": (128, 129, {"evaluation.songs"}),
    "evaluation.min_resamples": (2000, 2001, {"evaluation.resamples"}),
    "evaluation.min_confidence": (0.95, 0.96, {"evaluation.confidence"}),
    # The gain must be above the bound: at the bound it is not.
    "evaluation.min_gain_over_prior_nats": (
        0.2921874,
        0.3 - 0.0078125,
        {"evaluation.gain_over_prior.low"},
    ),
    "evaluation.min_top5_mass_over_prior": (4.0, 4.001, {"evaluation.top5_mass"}),
    "evaluation.max_calibration_error": (0.015, 0.0149, {"evaluation.calibration"}),
    "evaluation.min_gain_over_logistic_nats": (0.0703125, 0.0703126, {"evaluation.gain_over_logistic.high"}),
    "champion.alpha": (0.05, 0.0499, {"champion.alpha"}),
    "champion.min_resamples": (10_000, 10_001, {"champion.resamples"}),
    "champion.min_shared_row_share": (5000 / 5234, 5001 / 5234, {"champion.shared_rows"}),
    "champion.margin_log_loss_nats": (7 * 2**-8, 6.99 * 2**-8, {"champion.log_loss.not_worse"}),
    "champion.margin_top5_mass": (7 * 2**-8, 6.99 * 2**-8, {"champion.top5_mass.not_worse"}),
    # The model is better here, by more than the test songs could tell at a smaller margin.
    "champion.margin_hit_at_5": (0.0271, 0.0270, {"champion.hit_at_5.power"}),
    "champion.min_power": (0.90, 0.92, {"champion.top5_mass.power"}),
    "slices.required": (
        ["explicit=yes", "country=*"],
        ["explicit=yes", "country=DK"],
        {"slices.required.country=DK"},
    ),
    "slices.min_songs": (38, 39, {"slices.required.explicit=yes"}),
    "slices.floor_gain_over_prior_nats": (-0.25, -0.2499, {"slices.measured_floor"}),
    # Seven slices are judged, and the smallest p-value of 10,000 resamples is 2 / 10,001.
    "slices.alpha": (14.001 / 10_001, 13.999 / 10_001, {"slices.smallest_p"}),
    "parity.binding_runtimes": ([*BINDING], [*BINDING, "triton"], {"parity.triton"}),
    "parity.reported_runtimes": (["openvino"], ["openvino", "triton"], {"parity.triton"}),
    "parity.served_precisions": (
        ["float32"],
        ["float64"],
        {"parity.served.unpinned", "parity.served.other_precision"},
    ),
    "parity.max_atol": (1e-5, 9.9e-6, {"parity.atol", "serving.atol"}),
    "parity.max_rtol": (1e-3, 9.9e-4, {"parity.rtol", "serving.rtol"}),
    "parity.required_families": (
        [*FAMILIES],
        [*FAMILIES, "silence"],
        {"parity.openvino", *(f"parity.{runtime}.silence" for runtime in BINDING)},
    ),
    "parity.unanswered_families": (
        ["nonfinite"],
        ["nonfinite", "zeros"],
        {f"parity.{runtime}.zeros.unanswered" for runtime in BINDING},
    ),
    "parity.required_batch_sizes": (
        [1, 7, 64, 10000],
        [1, 7, 64, 256, 10000],
        {"parity.openvino"}
        | {f"parity.{runtime}.{name}.batch_sizes_missing" for runtime in BINDING for name in FAMILIES},
    ),
    "parity.max_row_sum_error": (2e-7, 1.9e-7, {f"parity.{runtime}.test.row_sum" for runtime in BINDING}),
    "parity.max_top1_tie_share": (
        1 / 128,
        1 / 129,
        {f"parity.{runtime}.test.top1_ties" for runtime in BINDING},
    ),
    "parity.min_threads": (4, 5, {f"parity.{runtime}.threads" for runtime in BINDING}),
    "parity.min_thread_calls": (100, 101, {f"parity.{runtime}.threads.calls" for runtime in BINDING}),
    "parity.max_metric_difference": (
        2**-20,
        2**-20.1,
        {f"parity.{runtime}.log_loss.difference" for runtime in BINDING},
    ),
    "serving.max_ready_seconds": (2.5, 2.4, {"serving.ready_seconds"}),
    "serving.required_batch_sizes": ([1, 7, 64], [1, 7, 32, 64], {"serving.batch_sizes_missing"}),
    "serving.required_bad_requests": (
        [*BAD_REQUESTS],
        [*BAD_REQUESTS, "rude"],
        {"serving.refuses.rude"},
    ),
    "serving.min_latency_calls": (300, 301, {"serving.latency_calls"}),
    "serving.max_p99_latency_ms": (6.5, 6.4, {"serving.p99_latency_ms"}),
    "serving.max_memory_mb": (218.5, 218.4, {"serving.memory_mb"}),
    "budget.max_model_bytes": (46767, 46766, {"budget.model_bytes"}),
    "budget.max_p99_latency_ms": (0.0625, 0.0624, {"budget.p99_latency_ms"}),
    "budget.min_latency_calls": (1000, 1001, {"budget.latency_calls"}),
}
"""For each threshold: the tightest that the reports pass, one that they do not, and what then fails."""

NO_NUMBER = {"slices.method"}
"""Tried in test_slice_checks: what it does shows on several p-values."""


def test_every_threshold_is_tried():
    # Those of promotion are tried in tests/unit/release.
    policy = removed(json.loads(POLICY), ("schema",), ("waivers",), ("promotion",))
    assert {dotted((group, name)) for group in policy for name in policy[group]} == {*THRESHOLDS, *NO_NUMBER}


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_a_threshold_beyond_the_measured_number_is_not_met(threshold):
    passes, blocks, checks = THRESHOLDS[threshold]
    tight = json.dumps(edited(json.loads(POLICY), {threshold: passes}))
    assert unmet(judge(passing_reports(), tight)) == set()
    tighter = json.dumps(edited(json.loads(POLICY), {threshold: blocks}))
    assert unmet(judge(passing_reports(), tighter)) == checks


@pytest.mark.parametrize("policy", ["", "{}", "# nothing", "[]", "schema: jukebox.policy/v2", POLICY[:-1]])
def test_a_policy_that_cannot_be_read_blocks(policy):
    assert failing(judge(passing_reports(), policy)) == {"policy"}

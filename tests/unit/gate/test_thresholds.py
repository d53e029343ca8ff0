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
    REQUIRED_SLICES,
    dotted,
    failing,
    judge,
    passing_reports,
    policy_with,
    removed,
    unmet,
)


def runtimes(*checks):
    """Return checks of each runtime that binds."""
    return {f"parity.{runtime}.{check}" for runtime in BINDING for check in checks}


def data_bounds(beyond):
    """Return the data report's checks as required ones, each bound so far beyond the measured number."""
    signs = {"<=": -1, ">=": 1}
    return [f"{name} {how} {value + signs[how] * beyond}" for name, (value, how, _) in DATA_CHECKS.items()]


DRIFT = {
    "psi": (0.0625, 0.0624),
    "ks": (0.03125, 0.0312),
    "class_shift": (0.125, 0.1249),
    "correlation": (0.125, 0.1249),
    "changed_examples": (0.00390625, 0.0039),
    "moved_examples": (0.25, 0.2499),
    "twins": (0.0078125, 0.0078),
    "volume": (1.1, 1.11),
    "growth": (1.25, 1.249),
    "lost_share": (0.0078125, 0.0078),
}
"""Thresholds that warn and that block: the tightest that passes, and one that does not."""

THRESHOLDS = {
    "data.required_checks": (data_bounds(0), data_bounds(0.001), {f"data.{name}" for name in DATA_CHECKS}),
    "data.max_left_out": (0.01, 0.0099, {"data.left_out"}),
    "drift.required_features": ([*FEATURES], [*FEATURES, "weight"], {"drift.features"}),
    **{
        f"drift.{name}_{level}": (*bounds, {f"drift.{name}{early}".replace("lost_share", "lost_classes")})
        for name, bounds in DRIFT.items()
        for level, early in (("warn", ".early"), ("block", ""))
    },
    "drift.known_examples_warn": (0.512, 0.513, {"drift.known_examples"}),
    "evaluation.min_examples": (128, 129, {"evaluation.examples"}),
    "evaluation.min_resamples": (2000, 2001, {"evaluation.resamples"}),
    "evaluation.min_confidence": (0.95, 0.96, {"evaluation.confidence"}),
    # The gain must be above the bound: at the bound it is not.
    "evaluation.min_gain_over_prior_nats": (0.2921874, 0.3 - 0.0078125, {"evaluation.gain_over_prior.low"}),
    "evaluation.min_top5_mass_over_prior": (4.0, 4.001, {"evaluation.top5_mass"}),
    "evaluation.max_calibration_error": (0.015, 0.0149, {"evaluation.calibration"}),
    "evaluation.min_gain_over_logistic_nats": (0.0703125, 0.0703126, {"evaluation.gain_over_logistic.high"}),
    "champion.alpha": (0.05, 0.0499, {"champion.alpha"}),
    "champion.min_resamples": (10_000, 10_001, {"champion.resamples"}),
    "champion.min_shared_row_share": (5000 / 5234, 5001 / 5234, {"champion.shared_rows"}),
    "champion.margin_log_loss_nats": (7 * 2**-8, 6.99 * 2**-8, {"champion.log_loss.not_worse"}),
    "champion.margin_top5_mass": (7 * 2**-8, 6.99 * 2**-8, {"champion.top5_mass.not_worse"}),
    # The model is better here, by more than the test examples could tell at a smaller margin.
    "champion.margin_hit_at_5": (0.0271, 0.0270, {"champion.hit_at_5.power"}),
    "champion.min_power": (0.90, 0.92, {"champion.top5_mass.power"}),
    "slices.required": (["digit=*"], ["digit=*", "digit=3"], {"slices.required.digit=3"}),
    "slices.min_examples": (38, 39, {f"slices.required.{REQUIRED_SLICES[0]}"}),
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
        {"parity.openvino", *runtimes("silence")},
    ),
    "parity.unanswered_families": (["nonfinite"], ["nonfinite", "zeros"], runtimes("zeros.unanswered")),
    "parity.required_batch_sizes": (
        [1, 7, 64, 10000],
        [1, 7, 64, 256, 10000],
        {"parity.openvino", *runtimes(*(f"{name}.batch_sizes_missing" for name in FAMILIES))},
    ),
    "parity.max_row_sum_error": (2e-7, 1.9e-7, runtimes("test.row_sum")),
    "parity.max_top1_tie_share": (1 / 128, 1 / 129, runtimes("test.top1_ties")),
    "parity.min_threads": (4, 5, runtimes("threads")),
    "parity.min_thread_calls": (100, 101, runtimes("threads.calls")),
    "parity.max_metric_difference": (2**-20, 2**-20.1, runtimes("log_loss.difference")),
    "serving.max_ready_seconds": (2.5, 2.4, {"serving.ready_seconds"}),
    "serving.required_batch_sizes": ([1, 7, 64], [1, 7, 32, 64], {"serving.batch_sizes_missing"}),
    "serving.required_bad_requests": ([*BAD_REQUESTS], [*BAD_REQUESTS, "rude"], {"serving.refuses.rude"}),
    "serving.min_latency_calls": (300, 301, {"serving.latency_calls"}),
    "serving.max_p99_latency_ms": (6.5, 6.4, {"serving.p99_latency_ms"}),
    "serving.max_memory_mb": (218.5, 218.4, {"serving.memory_mb"}),
    "budget.max_model_bytes": (46767, 46766, {"budget.model_bytes"}),
    "budget.max_p99_latency_ms": (0.0625, 0.0624, {"budget.p99_latency_ms"}),
    "budget.min_latency_calls": (1000, 1001, {"budget.latency_calls"}),
}
"""For each threshold: the tightest that the reports pass, one that they do not, and what then fails."""

ELSEWHERE = {"slices.method", "parity.reference"}
"""Tried in test_slice_checks and test_parity_checks; those of promotion in tests/unit/release."""


def test_every_threshold_is_tried():
    policy = removed(json.loads(POLICY), ("schema",), ("waivers",), ("promotion",))
    assert {dotted((group, name)) for group in policy for name in policy[group]} == {*THRESHOLDS, *ELSEWHERE}


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_a_threshold_beyond_the_measured_number_is_not_met(threshold):
    passes, blocks, checks = THRESHOLDS[threshold]
    assert unmet(judge(passing_reports(), policy_with({threshold: passes}))) == set()
    assert unmet(judge(passing_reports(), policy_with({threshold: blocks}))) == checks


@pytest.mark.parametrize("policy", ["", "{}", "# nothing", "[]", "schema: jukebox.policy/v3", POLICY[:-1]])
def test_a_policy_that_cannot_be_read_blocks(policy):
    assert failing(judge(passing_reports(), policy)) == {"policy"}

"""Every threshold of the policy bites: at the measured number and beyond it; no policy, no pass."""

import json

import pytest
from reports import (
    BAD_REQUESTS,
    BINDING,
    DATA_CHECKS,
    FAMILIES,
    POLICY,
    dotted,
    edited,
    failing,
    judge,
    passing_reports,
    removed,
)

THRESHOLDS = {
    "data.required_checks": ([*DATA_CHECKS], [*DATA_CHECKS, "songs.loud"], {"data.songs.loud"}),
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
    "evaluation.min_gain_over_logistic_nats": (0.0703125, 0.0703126, {"evaluation.gain_over_logistic.high"}),
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


def test_every_threshold_is_tried():
    policy = removed(json.loads(POLICY), ("schema",), ("waivers",))
    assert {dotted((group, name)) for group in policy for name in policy[group]} == set(THRESHOLDS)


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_a_threshold_beyond_the_measured_number_blocks(threshold):
    passes, blocks, checks = THRESHOLDS[threshold]
    tight = json.dumps(edited(json.loads(POLICY), {threshold: passes}))
    assert failing(judge(passing_reports(), tight)) == set()
    tighter = json.dumps(edited(json.loads(POLICY), {threshold: blocks}))
    assert failing(judge(passing_reports(), tighter)) == checks


@pytest.mark.parametrize("policy", ["", "{}", "# nothing", "[]", "schema: jukebox.policy/v2", POLICY[:-1]])
def test_a_policy_that_cannot_be_read_blocks(policy):
    assert failing(judge(passing_reports(), policy)) == {"policy"}

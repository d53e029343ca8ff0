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


COMPUTED = {
    "data.required_checks": (data_bounds(0), data_bounds(0.001), {f"data.{name}" for name in DATA_CHECKS}),
    "data.max_left_out": (0.01, 0.0099, {"data.left_out"}),
    "drift.required_features": ([*FEATURES], [*FEATURES, "weight"], {"drift.features"}),
    # The gain must be above the bound: at the bound it is not.
    "evaluation.min_gain_over_prior_nats": (0.2921874, 0.3 - 0.0078125, {"evaluation.gain_over_prior.low"}),
    "champion.margin_log_loss_nats": (7 * 2**-8, 6.99 * 2**-8, {"champion.log_loss.not_worse"}),
    "champion.margin_top5_mass": (7 * 2**-8, 6.99 * 2**-8, {"champion.top5_mass.not_worse"}),
    # The model is better here, by more than the test examples could tell at a smaller margin.
    "champion.margin_hit_at_5": (0.0271, 0.0270, {"champion.hit_at_5.power"}),
    "champion.min_power": (0.90, 0.92, {"champion.top5_mass.power"}),
    "evaluation.min_top5_mass_over_prior": (4.0, 4.001, {"evaluation.top5_mass"}),
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
    "parity.max_top1_tie_share": (1 / 128, 1 / 129, runtimes("test.top1_ties")),
    "serving.required_batch_sizes": ([1, 7, 64], [1, 7, 32, 64], {"serving.batch_sizes_missing"}),
    "serving.required_bad_requests": ([*BAD_REQUESTS], [*BAD_REQUESTS, "rude"], {"serving.refuses.rude"}),
}
"""Thresholds that are lists, or that a check computes with: the tightest that passes, one that does not, and
what then fails."""

ELSEWHERE = {"slices.method", "parity.reference"}
"""Tried in test_slice_checks and test_parity_checks; those of promotion in tests/unit/release."""

LISTED = removed(json.loads(POLICY), ("schema",), ("waivers",), ("promotion",))
VALUES = {
    dotted((group, name)): value for group, section in LISTED.items() for name, value in section.items()
}
NUMBERS = {name: value for name, value in VALUES.items() if name not in {*COMPUTED, *ELSEWHERE}}
"""Thresholds that are the bound of a check as they are."""


def bound_by(threshold, value):
    """Return the checks whose bound is a threshold: those that follow it when it changes."""
    probe = value + 1 if isinstance(value, int) else value * 0.97 or 1e-3
    here, there = (
        {check.name: check for check in verdict.checks}
        for verdict in (
            judge(passing_reports(), policy_with({threshold: number})) for number in (value, probe)
        )
    )
    return [check for name, check in here.items() if (check.bound, there[name].bound) == (value, probe)]


@pytest.mark.parametrize("threshold", NUMBERS)
def test_a_number_passes_at_its_threshold_and_fails_beyond_it(threshold):
    checks = bound_by(threshold, NUMBERS[threshold])
    assert checks, "it is the bound of no check: add it to COMPUTED"
    (relation,) = {check.relation for check in checks}
    tightest = {"<=": max, ">=": min}[relation](check.value for check in checks)
    step = 1 if isinstance(NUMBERS[threshold], int) else abs(tightest) * 1e-3 or 1e-3
    number = type(NUMBERS[threshold])(tightest)
    beyond = number - step if relation == "<=" else number + step
    assert unmet(judge(passing_reports(), policy_with({threshold: number}))) == set()
    failed = {check.name for check in checks if check.value == tightest}
    assert unmet(judge(passing_reports(), policy_with({threshold: beyond}))) == failed


@pytest.mark.parametrize("threshold", COMPUTED)
def test_a_computed_threshold_beyond_the_measured_number_is_not_met(threshold):
    passes, blocks, checks = COMPUTED[threshold]
    assert unmet(judge(passing_reports(), policy_with({threshold: passes}))) == set()
    assert unmet(judge(passing_reports(), policy_with({threshold: blocks}))) == checks


@pytest.mark.parametrize("policy", ["", "{}", "# nothing", "[]", "schema: jukebox.policy/v3", POLICY[:-1]])
def test_a_policy_that_cannot_be_read_blocks(policy):
    assert failing(judge(passing_reports(), policy)) == {"policy"}

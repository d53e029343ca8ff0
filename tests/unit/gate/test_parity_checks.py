"""Parity: each runtime that binds is compared in full, and none is let off because of another."""

import json

import pytest
from reports import (
    BINDING,
    FAMILIES,
    POLICY,
    RUNTIMES,
    edited,
    failing,
    judge,
    passing_reports,
    removed,
    runtime,
)


@pytest.mark.parametrize("index", range(len(FAMILIES)))
@pytest.mark.parametrize("runtime", BINDING)
def test_a_required_family_that_is_missing_blocks(runtime, index):
    verdict = judge(removed(passing_reports(), ("parity", "runtimes", BINDING[runtime], "families", index)))
    assert failing(verdict) == {f"parity.{runtime}.{list(FAMILIES)[index]}"}


def test_a_family_that_the_policy_does_not_ask_for_counts_too():
    reports = passing_reports()
    families = reports["parity"]["runtimes"][0]["families"]
    extra = {**families[1], "name": "noise"}
    assert judge(edited(reports, {"parity.runtimes.0.families": [*families, extra]})).passed
    extra["nonfinite"] = 1
    verdict = judge(edited(reports, {"parity.runtimes.0.families": [*families, extra]}))
    assert failing(verdict) == {"parity.served.noise.nonfinite"}


@pytest.mark.parametrize("index", range(len(RUNTIMES)))
def test_a_runtime_that_is_missing_blocks_whether_it_binds_or_not(index):
    verdict = judge(removed(passing_reports(), ("parity", "runtimes", index)))
    assert failing(verdict) == {f"parity.{list(RUNTIMES)[index]}"}


@pytest.mark.parametrize("index", range(len(FAMILIES)))
def test_a_family_that_was_not_compared_in_a_reported_runtime_blocks(index):
    verdict = judge(removed(passing_reports(), ("parity", "runtimes", 2, "families", index)))
    assert failing(verdict) == {"parity.openvino"}
    assert list(FAMILIES)[index] in verdict.failures[0].reason


def test_a_runtime_that_the_policy_does_not_know_binds():
    reports = passing_reports()
    extra = {**runtime("onnxruntime"), "name": "triton", "engine": "triton"}
    extra["families"][2]["top1_disagreements"] = 1
    verdict = judge(edited(reports, {"parity.runtimes": [*reports["parity"]["runtimes"], extra]}))
    assert failing(verdict) == {"parity.triton.zeros.top1_flips"}


def test_a_model_served_in_another_runtime_needs_no_setting_of_openvinos():
    served = {"schema": "jukebox.served/v1", "runtime": "onnxruntime", "settings": {}}
    edits = {
        "parity.served": served,
        "parity.runtimes.0.engine": "onnxruntime",
        "parity.runtimes.0.settings": {},
    }
    assert judge(edited(passing_reports(), edits)).passed


@pytest.mark.parametrize("setting", ["bf16", "f16", "F32", "", "dynamic"])
def test_no_other_precision_pins_the_served_runtime(setting):
    edits = {f"parity.{part}.settings.INFERENCE_PRECISION_HINT": setting for part in ("served", "runtimes.0")}
    found = failing(judge(edited(passing_reports(), edits)))
    assert "parity.served.unpinned" in found or setting == ""
    assert found


def test_a_family_that_never_went_through_all_at_once_blocks():
    sizes = {"parity.runtimes.0.families.0.batch_sizes": [1, 7, 64, 10000]}
    verdict = judge(edited(passing_reports(), sizes))
    assert failing(verdict) == {"parity.served.test.batch_sizes_missing"}
    assert "128" in verdict.failures[0].reason


def test_the_scores_of_a_runtime_that_the_policy_does_not_know_bind_as_well():
    reports = passing_reports()
    extra = {**runtime("onnxruntime"), "name": "triton", "engine": "triton"}
    extra["metrics"]["hit_at_5"] = 0.5
    verdict = judge(edited(reports, {"parity.runtimes": [*reports["parity"]["runtimes"], extra]}))
    assert failing(verdict) == {"parity.triton.hit_at_5.difference"}


def test_runtimes_may_stand_in_any_order():
    reports = passing_reports()
    edits = {
        "parity.runtimes": reports["parity"]["runtimes"][::-1],
        "parity.runtimes.1.metrics.hit_at_5": 0.5,
    }
    assert failing(judge(edited(reports, edits))) == {"parity.onnxruntime.hit_at_5.difference"}


@pytest.mark.parametrize(
    ("edits", "name", "value", "reason"),
    [
        (
            {"0.precision": "bfloat16"},
            "parity.served.other_precision",
            1,
            "the served runtime computes in bfloat16, not float32, float64",
        ),
        (
            {"1.layouts.strided": "different", "1.layouts.fortran": "different"},
            "parity.onnxruntime.layouts",
            2,
            "other answers to fortran, strided memory",
        ),
        (
            {"2.families": []},
            "parity.openvino",
            "unclear",
            f"not compared in it exactly once, in each size of batch: {', '.join(FAMILIES)}",
        ),
    ],
    ids=["precision", "layouts", "families"],
)
def test_what_is_wrong_is_told_whole(edits, name, value, reason):
    both = json.dumps(edited(json.loads(POLICY), {"parity.served_precisions": ["float32", "float64"]}))
    reports = edited(passing_reports(), {f"parity.runtimes.{key}": new for key, new in edits.items()})
    (failure,) = judge(reports, both).failures
    assert (failure.name, failure.value, failure.reason) == (name, value, reason)

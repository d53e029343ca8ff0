"""Parity: each runtime that binds is compared in full, and none is let off because of another."""

import pytest
from reports import (
    BINDING,
    EXAMPLES,
    FAMILIES,
    RUNTIMES,
    changed,
    failing,
    judge,
    passing_reports,
    policy_with,
    removed,
    runtime,
)

SELF_REPORTED = {"parity.reference": "self-reported"}


def with_runtime(*path, value):
    """Decide with one more runtime, which the policy does not know, and one other value in it."""
    extra = {**runtime("onnxruntime"), "name": "triton", "engine": "triton"}
    place = extra
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return changed({"parity.runtimes": [*passing_reports()["parity"]["runtimes"], extra]})


@pytest.mark.parametrize("index", range(len(FAMILIES)), ids=[*FAMILIES])
@pytest.mark.parametrize(("number", "name"), [*enumerate(RUNTIMES)])
def test_a_required_family_that_is_missing_blocks(number, name, index):
    (failure,) = judge(removed(passing_reports(), ("parity", "runtimes", number, "families", index))).failures
    family = [*FAMILIES][index]
    assert failure.name == (f"parity.{name}.{family}" if name in BINDING else f"parity.{name}")
    assert name in BINDING or failure.reason.endswith(f": {family}")


@pytest.mark.parametrize(("number", "name"), [*enumerate(RUNTIMES)])
def test_a_runtime_that_is_missing_blocks_whether_it_binds_or_not(number, name):
    assert failing(judge(removed(passing_reports(), ("parity", "runtimes", number)))) == {f"parity.{name}"}


def test_a_family_that_the_policy_does_not_ask_for_counts_too():
    families = passing_reports()["parity"]["runtimes"][0]["families"]
    for nonfinite, failures in ((0, set()), (1, {"parity.served.noise.nonfinite"})):
        extra = {**families[1], "name": "noise", "nonfinite": nonfinite}
        assert failing(changed({"parity.runtimes.0.families": [*families, extra]})) == failures


def test_a_runtime_that_the_policy_does_not_know_binds_and_so_do_its_scores():
    flips = with_runtime("families", 2, "top1_disagreements", value=1)
    assert failing(flips) == {"parity.triton.zeros.top1_flips"}
    assert failing(with_runtime("metrics", "hit_at_5", value=0.5)) == {"parity.triton.hit_at_5.difference"}


def test_a_runtime_that_is_named_as_binding_and_as_reported_binds():
    policy = policy_with({"parity.binding_runtimes": ["served", "onnxruntime", "openvino"]})
    assert failing(changed({"parity.runtimes.2.families.0.nonfinite": 1}, policy)) == {
        "parity.openvino.test.nonfinite"
    }
    assert changed({"parity.runtimes.2.metrics.hit_at_5": 0.5}).passed
    assert failing(changed({"parity.runtimes.2.metrics.hit_at_5": 0.5}, policy)) == {
        "parity.openvino.hit_at_5.difference"
    }


def test_a_model_served_in_another_runtime_needs_no_setting_of_openvinos():
    served = {"schema": "jukebox.served/v1", "runtime": "onnxruntime", "settings": {}}
    assert changed({"parity.served": served, "parity.runtimes.0.engine": "onnxruntime"}).passed
    assert failing(changed({"parity.served": {"runtime": "onnxruntime", "settings": {}}})) == {"parity"}


@pytest.mark.parametrize("setting", ["bf16", "f16", "F32", "dynamic"])
def test_no_other_precision_pins_the_served_runtime(setting):
    verdict = changed({"parity.served.settings.INFERENCE_PRECISION_HINT": setting})
    assert failing(verdict) == {"parity.served.unpinned"}


@pytest.mark.parametrize(
    ("reference", "enough", "passes"),
    [
        ("native", "native", True),
        ("native", "self-reported", True),
        ("self-reported", "self-reported", True),
        ("self-reported", "native", False),
    ],
)
def test_a_reference_that_only_the_run_has_asked_passes_where_the_policy_says_so(reference, enough, passes):
    verdict = changed({"parity.reference": reference}, policy_with({"parity.reference": enough}))
    assert failing(verdict) == (set() if passes else {"parity.self_reported"})


def test_a_self_reported_reference_is_compared_as_any_other():
    edits = {**SELF_REPORTED, "parity.runtimes.0.families.0.worst_ratio": 1.01}
    assert failing(changed(edits, policy_with(SELF_REPORTED))) == {"parity.served.test.worst_ratio"}
    assert failing(changed({"parity.reference": "hearsay"}, policy_with(SELF_REPORTED))) == {"parity"}


def test_a_family_that_never_went_through_all_at_once_blocks():
    (failure,) = changed({"parity.runtimes.0.families.0.batch_sizes": [1, 7, 64, 10000]}).failures
    assert failure.name == "parity.served.test.batch_sizes_missing"
    assert failure.reason == f"not compared: [{EXAMPLES}]"


def test_runtimes_may_stand_in_any_order():
    runtimes = passing_reports()["parity"]["runtimes"][::-1]
    edits = {"parity.runtimes": runtimes, "parity.runtimes.1.metrics.hit_at_5": 0.5}
    assert failing(changed(edits)) == {"parity.onnxruntime.hit_at_5.difference"}


LAYOUTS = {"1.layouts.strided": "different", "1.layouts.fortran": "different"}
NOT_COMPARED = f"not compared in it exactly once, in each size of batch: {', '.join(FAMILIES)}"


@pytest.mark.parametrize(
    ("edits", "name", "reason"),
    [
        (
            {"0.precision": "f8"},
            "served.other_precision",
            "the served runtime computes in f8, not float32, float64",
        ),
        (LAYOUTS, "onnxruntime.layouts", "other answers to fortran, strided memory"),
        ({"2.families": []}, "openvino", NOT_COMPARED),
    ],
    ids=["precision", "layouts", "families"],
)
def test_what_is_wrong_is_told_whole(edits, name, reason):
    both = policy_with({"parity.served_precisions": ["float32", "float64"]})
    (failure,) = changed({f"parity.runtimes.{key}": new for key, new in edits.items()}, both).failures
    assert (failure.name, failure.reason) == (f"parity.{name}", reason)

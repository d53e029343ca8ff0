"""A policy explained: every threshold has its value, unit and a reason of its own."""

import json

import pytest
from reports import POLICY, edited

from ml.core.records import Record
from ml.gate.explained import explain
from policies import default_policy
from ml.gate.policy import parse_policy
from ml.gate.threshold import thresholds_of


def test_every_threshold_of_the_policy_is_explained():
    policy = default_policy().to_json()
    names = [
        f"{section}.{key}"
        for section in policy
        if isinstance(policy[section], dict)
        for key in policy[section]
    ]
    assert sorted(threshold.name for threshold in explain(default_policy())) == sorted(names)


def test_each_reason_is_its_own_and_says_something():
    thresholds = explain(default_policy())
    assert len({threshold.reason for threshold in thresholds}) == len(thresholds)
    assert all(len(threshold.reason) > 25 and threshold.reason.endswith(".") for threshold in thresholds)
    assert all(len(threshold.unit) < 30 for threshold in thresholds)


def test_a_reason_of_several_lines_is_one_sentence():
    found = {threshold.name: threshold.reason for threshold in explain(default_policy())}
    assert found["data.required_checks"] == (
        "The checks of the data contract that must be in the report, and pass. "
        "A report that forgot one is not a report that passed it."
    )


def test_a_changed_threshold_is_told_beside_the_default():
    policy = parse_policy(json.dumps(edited(json.loads(POLICY), {"evaluation.min_songs": 250})))
    changed = [threshold for threshold in explain(policy) if threshold.value != threshold.default]
    assert [(found.name, found.value, found.default, found.shown) for found in changed] == [
        ("evaluation.min_songs", 250, 100, "250")
    ]


def test_a_list_is_shown_as_words():
    found = {threshold.name: threshold.shown for threshold in explain(default_policy())}
    assert found["parity.max_atol"] == "1e-05"
    assert found["parity.required_families"].startswith("test, extremes, zeros")


def test_a_threshold_without_unit_or_reason_is_an_error():
    class Section(Record):
        limit: int

    with pytest.raises(TypeError, match=r"^Section\.limit is not declared by threshold\(\)$"):
        list(thresholds_of(Section))

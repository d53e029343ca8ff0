"""The policy: complete, typed, finite and explained, or refused with the name of the field that is wrong."""

import json

import pytest
import yaml
from policies import default_policy, default_text
from reports import POLICY as ONE_LINE
from reports import at, dotted, leaves, path_of, policy_with, removed, replaced

from ml.core.canonical import digest
from ml.core.records import Record
from ml.gate import policy as engine
from ml.gate.explained import explain
from ml.gate.policy import parse_policy
from ml.gate.threshold import thresholds_of
from ml.problems.songs.policy import THRESHOLDS as SONGS

TEXT = default_text()
POLICY = yaml.safe_load(TEXT)
SECTIONS = [name for name in POLICY if name not in ("schema", "waivers")]
FIELDS = [("schema",), *((section, name) for section in SECTIONS for name in POLICY[section])]
LEAVES = [path for path in leaves(POLICY) if path not in (("waivers",), ("schema",))]
NUMBERS = [path for path in LEAVES if isinstance(path[-1], str)]
MAY_BE_NEGATIVE = ["evaluation.min_gain_over_logistic_nats", "slices.floor_gain_over_prior_nats"]
OTHER_WORD = {"holm": "benjamini-hochberg", "folder": "never", "native": "self-reported"}
"""Where not any word is a value."""

PROBLEM = {
    "data.required_checks": (("rows.count >= 7",), "Seven rows are few."),
    "drift.required_features": (("x", "y"), "Both."),
}
"""The least that a problem says of its policy."""


def refuse(value, message=None):
    with pytest.raises(ValueError, match=message) as caught:
        parse_policy(value if isinstance(value, str) else json.dumps(value))
    assert "\n" not in str(caught.value)


def another(value):
    if isinstance(value, str):
        return OTHER_WORD.get(value, value + "0")
    return value + 1 if isinstance(value, int) else value / 2 or 1.0


def test_json_and_yaml_are_the_same_policy():
    policy = parse_policy(TEXT)
    assert json.loads(policy.text) == POLICY
    assert parse_policy(json.dumps(POLICY, indent=2)) == parse_policy(policy.text) == policy
    assert "\n" not in policy.text


def test_the_text_fits_a_terminal_and_gives_each_threshold_its_unit_and_reason():
    assert max(len(line) for line in TEXT.splitlines()) <= 110
    reason = "  # (examples) Below so many test examples the intervals are too wide to say anything.\n"
    assert f"{reason}  min_examples: 100\n" in TEXT


def test_comments_layout_and_order_do_not_change_the_digest():
    bare = yaml.safe_dump(POLICY, sort_keys=True)
    flow = yaml.safe_dump(dict(reversed(POLICY.items())), sort_keys=False, default_flow_style=None)
    assert "#" not in bare
    assert bare != flow
    assert {parse_policy(text).digest for text in (bare, flow, TEXT)} == {default_policy().digest}
    assert default_policy().digest == digest(default_policy().text.encode() + b"\n")


def test_every_threshold_is_in_the_digest():
    changed = {
        parse_policy(json.dumps(replaced(POLICY, (path, another(at(POLICY, path)))))) for path in LEAVES
    }
    assert len({policy.digest for policy in (*changed, default_policy())}) == len(LEAVES) + 1


@pytest.mark.parametrize("path", [*FIELDS, *((name,) for name in (*SECTIONS, "waivers"))], ids=dotted)
def test_what_is_missing_or_of_another_type_is_refused_by_name(path):
    refuse(removed(POLICY, path), f"^policy: {dotted(path)}: missing$")
    for wrong in (None, "x", True, [], {}):
        if (path, wrong) != (("waivers",), []):
            refuse(replaced(POLICY, (path, wrong)), rf"^policy: {dotted(path)}\b")


@pytest.mark.parametrize("path", NUMBERS, ids=dotted)
def test_a_threshold_that_is_negative_or_no_number_is_refused(path):
    for constant in ("nan", "inf", "-inf"):
        refuse(yaml.safe_dump(replaced(POLICY, (path, float(constant)))), "not JSON compliant")
    changed = replaced(POLICY, (path, -1))
    if dotted(path) in MAY_BE_NEGATIVE:
        assert at(parse_policy(json.dumps(changed)).to_json(), path) == -1
    else:
        refuse(changed, dotted(path))


LEAST = {
    **dict.fromkeys(("slices.min_examples", "parity.min_threads"), 2),
    **dict.fromkeys(("evaluation.min_resamples", "evaluation.min_examples", "champion.min_resamples"), 1),
    **dict.fromkeys(("parity.min_thread_calls", "serving.min_latency_calls", "budget.min_latency_calls"), 1),
    "promotion.max_attestation_age_days": 1,
}


@pytest.mark.parametrize(("name", "least"), LEAST.items())
def test_no_less_than_the_least_can_be_asked_for(name, least):
    assert at(parse_policy(policy_with({name: least})).to_json(), path_of(name)) == least
    refuse(policy_with({name: least - 1}), name)


@pytest.mark.parametrize("path", [(), *((name,) for name in SECTIONS)], ids=dotted)
def test_an_unknown_key_is_refused_by_name(path):
    refuse(replaced(POLICY, ((*path, "colour"), 1)), f"{dotted((*path, 'colour'))}: unknown key")


NO_CHECKS = "|rows|rows >=|rows >= x|rows > 1|rows == 1|rows >= 1 | rows >= 1|rows  >= 1|Rows >= 1|rows>=1|"
NO_CHECKS += "rows >= .5|rows >= 1.|rows >= 1e3|rows >= nan|rows >= --1|rows >= 1\n|a b >= 1"


@pytest.mark.parametrize("text", NO_CHECKS.split("|"))
def test_a_required_check_is_a_name_a_relation_and_a_bound(text):
    refuse(policy_with({"data.required_checks": ["rows.count <= -1.5", text]}), r"data\.required_checks\.1")


def test_a_required_check_stands_once():
    twice = ["rows >= 100", "rows.unique <= 0", "rows >= 0"]
    refuse(policy_with({"data.required_checks": twice}), r"data\.required_checks: .*rows stands twice")


MORE = "\n  self_checked: never\nwaivers"
NO_POLICIES = {
    "empty": ["", "# nothing but a comment\n", "--- null"],
    "not a mapping": ["- a\n- b", "a word"],
    "not YAML": ["a: [1", "\x00", "schema: !!python/object/apply:os.getcwd []", "--- a\n--- b", "a: &a [*a]"],
    "policy": ['{"schema": ', "{" * 3000, TEXT.replace("min_examples: 100", "min_examples: 2020-01-01")],
    "missing": ["{}"],
    "nested too deeply": ['{"a":' * 3000],
    "schema": [TEXT.replace("schema:", "schema_:"), TEXT.replace("policy/v3", "policy/v2")],
    "'schema' stands twice": [TEXT + "schema: jukebox.policy/v3\n"],
    "key 'schema' stands twice in one object": ['{"schema": "a", "schema": "b"}'],
    "'self_checked' stands twice": [TEXT.replace("\nwaivers", MORE)],
    "'budget' stands twice": [TEXT + "budget: {}\n"],
    "min_example: unknown key": [TEXT.replace("min_examples:", "min_example:")],
    "evaluation.min_examples": [TEXT.replace("min_examples: 100", "min_examples: 100.5")],
    ".": ["a: !!timestamp x", "a: !!bool x", "a: !!int ''", "[" * 3000],
}


@pytest.mark.parametrize(
    ("message", "text"), [(why, text) for why, texts in NO_POLICIES.items() for text in texts]
)
def test_what_is_not_a_policy_is_refused_with_the_reason(message, text):
    refuse(text, message)


def test_a_problem_says_what_differs_from_the_engines_defaults():
    policy = engine.default_policy(PROBLEM)
    assert policy.data.required_checks == ("rows.count >= 7",)
    assert policy.drift.required_features == ("x", "y")
    assert policy.parity.reference == "native"
    assert "  # (checks) Seven rows are few.\n  required_checks: [rows.count >= 7]\n" in engine.default_text(
        PROBLEM
    )
    told = {threshold.name: threshold for threshold in explain(policy, PROBLEM)}
    assert told["drift.required_features"].reason == "Both."
    assert all(threshold.value == threshold.default for threshold in told.values())


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        ({}, "data.required_checks"),
        ({**PROBLEM, "data.require_checks": (1, "x")}, "names 'data.require_checks', which is no threshold"),
        ({**PROBLEM, "required_checks": (1, "x")}, "names 'required_checks', which is no threshold"),
        ({**PROBLEM, "evaluation.min_examples": ("many", "x")}, "evaluation.min_examples"),
        ({**PROBLEM, "data.required_checks": (("rows",), "x")}, "data.required_checks.0"),
    ],
)
def test_a_problem_that_names_no_threshold_or_no_value_of_it_has_no_policy(problem, message):
    with pytest.raises(ValueError, match=message):
        engine.default_policy(problem)


def test_every_threshold_is_explained_with_a_reason_of_its_own():
    thresholds = explain(default_policy(), SONGS)
    assert [threshold.name for threshold in thresholds] == [dotted(path) for path in FIELDS[1:]]
    assert len({threshold.reason for threshold in thresholds}) == len(thresholds)
    assert all(len(threshold.reason) > 25 and threshold.reason.endswith(".") for threshold in thresholds)
    assert all(len(threshold.unit) <= 30 for threshold in thresholds)
    shown = {threshold.name: threshold.shown for threshold in thresholds}
    assert shown["parity.max_atol"] == "1e-05"
    assert shown["parity.required_families"].startswith("test, extremes, zeros")


def test_a_changed_threshold_is_told_beside_the_default():
    policy = parse_policy(policy_with({"evaluation.min_examples": 250}))
    changed = [threshold for threshold in explain(policy, SONGS) if threshold.value != threshold.default]
    assert [(found.name, found.value, found.default, found.shown) for found in changed] == [
        ("evaluation.min_examples", 250, 100, "250")
    ]
    assert default_policy().text == ONE_LINE


def test_a_threshold_without_unit_or_reason_is_an_error():
    class Section(Record):
        limit: int

    with pytest.raises(TypeError, match=r"^Section\.limit is not declared by threshold\(\)$"):
        list(thresholds_of(Section))

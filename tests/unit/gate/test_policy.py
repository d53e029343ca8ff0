"""The policy: complete, typed and finite, or refused with the name of the field that is wrong."""

import json

import pytest
import yaml
from reports import at, dotted, leaves, removed, replaced

from ml.core.canonical import digest
from policies import default_policy, default_text
from ml.gate.policy import parse_policy

TEXT = default_text()
POLICY = yaml.safe_load(TEXT)
FIELDS = [
    ("schema",),
    *((group, name) for group in POLICY if group not in ("schema", "waivers") for name in POLICY[group]),
]
LEAVES = [path for path in leaves(POLICY) if path != ("waivers",)]
NUMBERS = [path for path in LEAVES[1:] if isinstance(path[-1], str)]
MAY_BE_NEGATIVE = [
    ("evaluation", "min_gain_over_logistic_nats"),
    ("slices", "floor_gain_over_prior_nats"),
]
OTHER_WORD = {"holm": "benjamini-hochberg", "folder": "never"}
"""Where not any word is a value."""


def ids(path):
    return dotted(path)


def refuse(value, message=None):
    with pytest.raises(ValueError, match=message):
        parse_policy(value if isinstance(value, str) else json.dumps(value))


def test_the_default_policy_says_what_its_file_says():
    assert json.loads(default_policy().text) == POLICY


def test_the_text_fits_a_terminal_and_gives_each_threshold_its_unit_and_reason():
    assert max(len(line) for line in TEXT.splitlines()) <= 110
    assert (
        "  # (songs) Below so many test songs the intervals are too wide to say anything.\n  min_songs: 100\n"
        in TEXT
    )


def test_json_and_yaml_are_the_same_policy():
    policy = parse_policy(TEXT)
    assert parse_policy(json.dumps(POLICY, indent=2)) == policy
    assert parse_policy(policy.text) == policy
    assert "\n" not in policy.text


def test_comments_layout_and_order_do_not_change_the_digest():
    bare = yaml.safe_dump(POLICY, sort_keys=True)
    flow = yaml.safe_dump(dict(reversed(POLICY.items())), sort_keys=False, default_flow_style=None)
    assert "#" not in bare
    assert bare != flow
    assert {parse_policy(text).digest for text in (bare, flow, TEXT)} == {default_policy().digest}
    assert default_policy().digest == digest(default_policy().text.encode() + b"\n")


@pytest.mark.parametrize("path", LEAVES[1:], ids=ids)
def test_every_threshold_is_in_the_digest(path):
    value = at(POLICY, path)
    other = {
        int: lambda: value + 1,
        float: lambda: value / 2 or 1.0,
        str: lambda: OTHER_WORD.get(value, value + "x"),
    }
    changed = replaced(POLICY, (path, other[type(value)]()))
    assert parse_policy(json.dumps(changed)).digest != default_policy().digest


@pytest.mark.parametrize("path", FIELDS, ids=ids)
def test_a_missing_threshold_is_refused_by_name(path):
    refuse(removed(POLICY, path), f"{dotted(path)}: missing")


@pytest.mark.parametrize("section", [name for name in POLICY if name != "schema"])
def test_a_policy_from_before_there_was_a_section_is_refused_by_its_name(section):
    refuse(removed(POLICY, (section,)), f"^policy: {section}: missing$")


@pytest.mark.parametrize("wrong", [None, "x", True, [], {}], ids=repr)
@pytest.mark.parametrize("path", FIELDS, ids=ids)
def test_a_value_of_another_type_is_refused_by_name(path, wrong):
    refuse(replaced(POLICY, (path, wrong)), dotted(path))


@pytest.mark.parametrize("path", NUMBERS, ids=ids)
def test_a_negative_threshold_is_refused_by_name(path):
    changed = replaced(POLICY, (path, -1))
    if path in MAY_BE_NEGATIVE:
        assert at(parse_policy(json.dumps(changed)).to_json(), path) == -1
    else:
        refuse(changed, dotted(path))


@pytest.mark.parametrize("section", ["evaluation", "champion"])
def test_one_resample_is_the_least_that_can_be_asked_for(section):
    path = (section, "min_resamples")
    assert at(parse_policy(json.dumps(replaced(POLICY, (path, 1)))).to_json(), path) == 1
    refuse(replaced(POLICY, (path, 0)), dotted(path))


@pytest.mark.parametrize("constant", [".nan", ".inf", "-.inf"])
@pytest.mark.parametrize("path", NUMBERS, ids=ids)
def test_a_threshold_that_is_no_number_is_refused(path, constant):
    refuse(yaml.safe_dump(replaced(POLICY, (path, float(constant.replace(".", ""))))), "not JSON compliant")


@pytest.mark.parametrize(
    "path",
    [(), *((name,) for name in POLICY if name not in ("schema", "waivers"))],
    ids=ids,
)
def test_an_unknown_key_is_refused_by_name(path):
    refuse(replaced(POLICY, ((*path, "colour"), 1)), f"{dotted((*path, 'colour'))}: unknown key")


def test_the_version_has_one_spelling():
    refuse(TEXT.replace("schema:", "schema_:"))


def test_a_typo_is_named_as_such_and_not_as_the_key_that_it_hides():
    refuse(TEXT.replace("min_songs:", "min_song:"), "min_song: unknown key")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("# nothing but a comment\n", "empty"),
        ("--- null", "empty"),
        ("- a\n- b", "not a mapping"),
        ("a word", "not a mapping"),
        ("a: [1", "not YAML"),
        ("\x00", "not YAML"),
        ("schema: !!python/object/apply:os.getcwd []", "not YAML"),
        ("--- a\n--- b", "not YAML"),
        ("a: &a [*a]", "not YAML"),
        ('{"schema": ', "policy"),
        ("{}", "missing"),
        ("{" * 3000, "policy"),
        ('{"a":' * 3000, "nested too deeply"),
        (TEXT.replace("policy/v2", "policy/v1"), "schema"),
        (TEXT.replace("policy/v2", "evaluation/v1"), "schema"),
        (TEXT + "schema: jukebox.policy/v2\n", "'schema' stands twice"),
        (TEXT.replace("\nwaivers", "\n  self_checked: never\nwaivers"), "'self_checked' stands twice"),
        (TEXT + "budget: {}\n", "'budget' stands twice"),
        ('{"schema": "a", "schema": "b"}', "'schema' stands twice"),
        (TEXT.replace("min_songs: 100", "min_songs: 100.5"), "evaluation.min_songs"),
        (TEXT.replace("min_songs: 100", "min_songs: 2020-01-01"), "policy"),
    ],
)
def test_what_is_not_a_policy_is_refused_with_the_reason(text, message):
    refuse(text, message)


@pytest.mark.parametrize("text", ["a: !!timestamp x", "a: !!bool x", "a: !!int ''", "[" * 3000])
def test_yaml_that_its_parser_stumbles_over_is_refused(text):
    refuse(text)

"""Reports that are missing, of another version or damaged in any one place never pass by accident."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reports import (
    at,
    dotted,
    edited,
    failing,
    judge,
    leaves,
    passing_reports,
    removed,
    replaced,
)

from ml.gate.registry import REPORTS

GOOD = passing_reports()
LEAVES = [path for path in leaves(GOOD) if path]
"""Words for people, and the name of a check that the policy does not ask for: another word is as good."""

EACH = 7
"""Which of the fields are tried: each so-many-th."""

OPEN = ("countries", "features", "settings")
"""Objects whose keys are data: one more or less of them is no matter of the report's shape."""

FIELDS = [
    path for path in LEAVES if isinstance(path[-1], str) and path[-1] != "schema" and path[-2] != "settings"
]
"""Numbers whose type lets them be negative; the last line's masses and shares should not be."""

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def accepted(paths, new):
    """Return the paths at which another value still passes."""
    return [dotted(path) for path in paths if judge(replaced(GOOD, (path, new))).passed]


@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.parametrize(
    "found",
    [None, {}, [], "", "pass", 1, True, {"passed": True}, {"unreadable": "no such file"}, {"unreadable": ""}],
    ids=repr,
)
def test_a_report_that_is_missing_or_something_else_blocks(report, found):
    assert failing(judge({**passing_reports(), report: found})) == {report}


@pytest.mark.parametrize("report", REPORTS)
def test_a_report_that_is_not_there_is_called_missing(report):
    for reports in (removed(passing_reports(), (report,)), {**passing_reports(), report: None}):
        (failure,) = judge(reports).failures
        assert (failure.name, failure.value) == (report, "missing")
        assert failure.reason == f"the report {report} is missing"


def test_the_reason_why_a_report_could_not_be_read_is_kept():
    (failure,) = judge({**passing_reports(), "parity": {"unreadable": "disk on fire"}}).failures
    assert failure.reason == "disk on fire"


@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.parametrize("schema", ["jukebox.{}/v{before}", "jukebox.{}/v{after}", "{}", "", None, 1])
def test_another_version_of_a_report_blocks(report, schema):
    name, _, version = passing_reports()[report]["schema"].removeprefix("jukebox.").partition("/v")
    assert name == report.replace("_", "-")
    around = {"before": int(version) - 1, "after": int(version) + 1}
    wrong = schema.format(name, **around) if isinstance(schema, str) else schema
    assert failing(judge(edited(passing_reports(), {f"{report}.schema": wrong}))) == {report}


@pytest.mark.parametrize("report", REPORTS)
def test_a_report_without_a_version_blocks(report):
    assert failing(judge(removed(passing_reports(), (report, "schema")))) == {report}


@pytest.mark.parametrize("report", REPORTS)
def test_the_version_has_one_spelling(report):
    schema = passing_reports()[report]["schema"]
    misspelt = replaced(removed(passing_reports(), (report, "schema")), ((report, "schema_"), schema))
    assert failing(judge(misspelt)) == {report}


def test_one_report_in_the_place_of_another_blocks():
    reports = passing_reports()
    swapped = {**reports, "evaluation": reports["parity"], "parity": reports["evaluation"]}
    assert failing(judge(swapped)) == {"evaluation", "parity"}


def test_an_unknown_key_at_any_depth_blocks_and_is_named():
    reports = passing_reports()
    objects = {path[:-1] for path in LEAVES if isinstance(path[-1], str)} | {(name,) for name in REPORTS}
    for path in objects:
        if path[-1] in OPEN:
            continue
        verdict = judge(replaced(reports, ((*path, "colour"), 1)))
        assert failing(verdict) == {path[0]}
        assert f"{dotted((*path, 'colour'))}: unknown key" in verdict.failures[0].reason


def test_a_missing_field_blocks_wherever_it_is_missing():
    groups = {path[:cut] for path in FIELDS for cut in range(2, len(path))}
    groups = {path for path in groups if isinstance(path[-1], str) and not set(OPEN) & set(path[:-1])}
    for path in (*FIELDS, *sorted(groups, key=dotted))[::EACH]:
        verdict = judge(removed(passing_reports(), path))
        assert failing(verdict) == {path[0]}, dotted(path)
        assert f"{dotted(path)}: missing" in verdict.failures[0].reason


@pytest.mark.parametrize("new", [None, float("nan"), float("inf"), [], {}, [0.5], {"value": 0}], ids=repr)
def test_no_value_may_be_null_or_infinite_or_nested(new):
    there = [path for path in LEAVES[::EACH] if at(GOOD, path) != new]
    assert accepted(there, new) == []


@given(st.sampled_from(LEAVES), JSON)
def test_no_json_in_any_place_makes_it_raise(path, new):
    failing(judge(replaced(passing_reports(), (path, new))))


@given(st.sampled_from(list(REPORTS)), JSON)
def test_no_json_passes_for_a_report(report, found):
    assert failing(judge({**passing_reports(), report: found})) == {report}


@pytest.mark.parametrize(
    "edits",
    [
        {"evaluation.songs": 10**400},
        {"parity.model_bytes": 10**400},
        {"serving.rows": 10**400},
        {"evaluation.prior.top5_mass.value": 1.7e308},
        {"evaluation.model.log_loss.value": 1.7e308, "parity.runtimes.0.metrics.log_loss": -1.7e308},
    ],
    ids=str,
)
def test_enormous_numbers_block(edits):
    assert not judge(edited(passing_reports(), edits)).passed

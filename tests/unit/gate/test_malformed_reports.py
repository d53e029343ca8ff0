"""Reports that are missing, of another version or damaged in any one place never pass by accident."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reports import at, changed, dotted, edited, failing, judge, leaves, passing_reports, removed, replaced

from ml.gate.registry import REPORTS

GOOD = passing_reports()
LEAVES = [path for path in leaves(GOOD) if path]
EACH = 7
"""Which of the fields are tried: each so-many-th."""

OPEN = ("classes", "features", "settings", "rows", "set_aside")
"""Objects whose keys are data: one more or less of them is no matter of the report's shape."""

FIELDS = [
    path for path in LEAVES if isinstance(path[-1], str) and path[-1] != "schema" and path[-2] not in OPEN
]
"""What stands below a name that the report's shape gives; some nouns and names have defaults."""

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.parametrize(
    ("found", "value", "reason"),
    [
        (None, "missing", "the report {} is missing"),
        ({"unreadable": "disk on fire"}, "unreadable", "disk on fire"),
        ({"unreadable": ""}, "unreadable", "no reason is given"),
        *((other, "malformed", "{}.") for other in ({}, [], "", "pass", 1, True, {"passed": True})),
    ],
    ids=repr,
)
def test_a_report_that_is_missing_or_something_else_blocks_and_is_said_to_be(report, found, value, reason):
    (failure,) = changed({report: found}).failures
    assert (failure.name, failure.value) == (report, value)
    assert failure.reason.startswith(reason.format(report))
    if found is None:
        assert judge(removed(GOOD, (report,))) == changed({report: None})


@pytest.mark.parametrize("report", REPORTS)
def test_another_version_of_a_report_blocks_and_the_version_has_one_spelling(report):
    schema = GOOD[report]["schema"]
    name, _, version = schema.partition("/v")
    assert name == f"jukebox.{report.replace('_', '-')}"
    for wrong in (f"{name}/v{int(version) - 1}", f"{name}/v{int(version) + 1}", name, "", None, 1):
        assert failing(changed({f"{report}.schema": wrong})) == {report}
    without = removed(GOOD, (report, "schema"))
    assert failing(judge(without)) == {report}
    assert failing(judge(replaced(without, ((report, "schema_"), schema)))) == {report}


def test_one_report_in_the_place_of_another_blocks():
    swapped = {"evaluation": GOOD["parity"], "parity": GOOD["evaluation"]}
    assert failing(judge({**GOOD, **swapped})) == {"evaluation", "parity"}


def test_an_unknown_key_at_any_depth_blocks_and_is_named():
    objects = {path[:-1] for path in LEAVES if isinstance(path[-1], str)} | {(name,) for name in REPORTS}
    for path in objects:
        if path[-1] not in OPEN:
            (failure,) = judge(replaced(GOOD, ((*path, "colour"), 1))).failures
            assert failure.name == path[0]
            assert f"{dotted((*path, 'colour'))}: unknown key" in failure.reason


def test_a_missing_field_blocks_wherever_it_is_missing():
    groups = {path[:cut] for path in FIELDS for cut in range(2, len(path))}
    groups = {path for path in groups if isinstance(path[-1], str) and not {*OPEN} & {*path[:-1]}}
    paths = [path for path in (*FIELDS, *sorted(groups, key=dotted)) if path[1] != "nouns" or len(path) == 2]
    for path in paths[::EACH]:
        (failure,) = judge(removed(GOOD, path)).failures
        assert failure.name == path[0], dotted(path)
        assert f"{dotted(path)}: missing" in failure.reason


@pytest.mark.parametrize("new", [None, float("nan"), float("inf"), [], {}, [0.5], {"value": 0}], ids=repr)
def test_no_value_may_be_null_or_infinite_or_nested(new):
    there = [path for path in LEAVES[::EACH] if at(GOOD, path) != new]
    assert [dotted(path) for path in there if judge(replaced(GOOD, (path, new))).passed] == []


@given(st.sampled_from(LEAVES), JSON)
def test_no_json_in_any_place_makes_it_raise(path, new):
    failing(judge(replaced(GOOD, (path, new))))


@given(st.sampled_from(list(REPORTS)), JSON)
def test_no_json_passes_for_a_report(report, found):
    assert failing(changed({report: found})) == {report}


LARGE = 1.7e308


@pytest.mark.parametrize(
    "edits",
    [
        *({field: 10**400} for field in ("evaluation.examples", "parity.model_bytes", "serving.rows")),
        {"evaluation.prior.top5_mass.value": LARGE},
        {"evaluation.model.log_loss.value": LARGE, "parity.runtimes.0.metrics.log_loss": -LARGE},
    ],
    ids=str,
)
def test_enormous_numbers_block(edits):
    assert not judge(edited(GOOD, edits)).passed

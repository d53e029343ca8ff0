"""The verdict: good reports pass, and whatever breaks one check is blocked by just that check."""

import pytest
from mutations import MUTATIONS
from reports import (
    BAD_REQUESTS,
    DATA_CHECKS,
    EXAMPLES,
    OPTIONAL_CHECK,
    REQUIRED_CHECKS,
    at,
    changed,
    failing,
    judge,
    passing_reports,
    path_of,
    policy_with,
    removed,
    unmet,
)


def doubled(part):
    """Return the first entry of a list of the reports, and the list with that entry once more at its end."""
    first, *rest = at(passing_reports(), path_of(part))
    return first, [first, *rest, first]


def test_good_reports_pass_every_check_and_every_check_has_a_mutation():
    verdict = judge(passing_reports())
    assert verdict.passed
    assert unmet(verdict) == set()
    names = [check.name for check in verdict.checks]
    assert len(names) == len(set(names)) > 200
    assert set(names) == set(MUTATIONS)


@pytest.mark.parametrize("name", MUTATIONS)
def test_what_breaks_one_check_is_blocked_by_just_that_check(name):
    edits, others, warns = MUTATIONS[name]
    verdict = changed(edits)
    assert verdict.passed == warns
    assert unmet(verdict) == {name, *others}
    assert name in ({check.name for check in verdict.warnings} if warns else failing(verdict))


@pytest.mark.parametrize(("name", "required"), REQUIRED_CHECKS.items())
def test_a_contract_that_loosened_its_own_bound_is_held_to_the_policys(name, required):
    relation, bound = required
    worse, looser = (bound + 1, bound + 2) if relation == "<=" else (bound - 0.5, bound - 1)
    where = f"data_report.checks.{[*DATA_CHECKS].index(name)}"
    edits = {f"{where}.value": worse, f"{where}.bound": looser}
    assert failing(changed(edits)) == {f"data.{name}"}
    turned = {**edits, f"{where}.bound": bound, f"{where}.relation": {"<=": ">=", ">=": "<="}[relation]}
    assert failing(changed(turned)) == {f"data.{name}"}


def test_a_check_that_the_policy_does_not_require_is_held_to_its_own_bound():
    where = f"data_report.checks.{[*DATA_CHECKS].index(OPTIONAL_CHECK)}"
    assert changed({f"{where}.value": 7.0, f"{where}.bound": 7.0}).passed
    assert failing(changed({f"{where}.value": 7.0, f"{where}.bound": 6.0})) == {f"data.{OPTIONAL_CHECK}"}
    required = policy_with({"data.required_checks": [f"{OPTIONAL_CHECK} >= -1.5"]})
    assert changed({f"{where}.value": -1.5}, required).passed
    assert failing(changed({f"{where}.value": -1.6}, required)) == {f"data.{OPTIONAL_CHECK}"}


def test_a_required_data_check_that_is_missing_blocks_and_another_may_be():
    for index, name in enumerate(DATA_CHECKS):
        verdict = judge(removed(passing_reports(), ("data_report", "checks", index)))
        assert failing(verdict) == (set() if name == OPTIONAL_CHECK else {f"data.{name}"})
        for failure in verdict.failures:
            assert (failure.value, failure.reason) == ("unclear", "the check is missing from the data report")


@pytest.mark.parametrize(("rows", "share"), [(6, 1.0), (0, 6.0)])
def test_what_was_left_out_is_a_share_of_the_table_of_examples(rows, share):
    verdict = changed({"data_report.rows.images": rows})
    assert [(check.name, check.value) for check in verdict.failures] == [("data.left_out", share)]


ONCE = "the {} exactly once"
UNCLEAR = [
    ("data_report.checks", "data.{name}", "the check is more than once in the data report"),
    ("parity.runtimes", "parity.{name}", ONCE.format("runtime was not measured")),
    ("parity.runtimes.0.families", "parity.served.{name}", ONCE.format("family was not compared")),
    (
        "parity.runtimes.2.families",
        "parity.openvino",
        "not compared in it exactly once, in each size of batch: test",
    ),
    ("serving.bad_requests", "serving.refuses.{name}", ONCE.format("bad request was not made")),
    ("serving.batches", "serving.batches_of_{size}", ONCE.format("size was not asked for")),
]


@pytest.mark.parametrize(("part", "check", "reason"), UNCLEAR)
def test_what_is_reported_twice_is_unclear(part, check, reason):
    first, twice = doubled(part)
    (failure,) = changed({part: twice}).failures
    assert (failure.name, failure.value, failure.reason) == (check.format(**first), "unclear", reason)


@pytest.mark.parametrize(
    ("part", "broken"),
    {
        "data_report.checks": f"data.{[*REQUIRED_CHECKS][-1]}",
        "parity.runtimes": "parity.onnxruntime.layouts",
        "parity.runtimes.0.families": "parity.served.zeros.nonfinite",
        "serving.bad_requests": "serving.refuses.huge",
        "serving.batches": f"serving.batches_of_{EXAMPLES}.violations",
    }.items(),
)
def test_what_comes_after_what_is_unclear_is_judged_as_well(part, broken):
    later = {path: new for path, new in MUTATIONS[broken].edits.items() if path.startswith(part)}
    _, twice = doubled(part)
    for path, new in later.items():
        *way, last = path_of(path.removeprefix(part + "."))
        at(twice, tuple(way))[last] = new
    found = failing(changed({part: twice}))
    assert broken in found
    assert len(found) == 2


PROBLEMS = ["x is float64", "no y"]


@pytest.mark.parametrize(
    ("field", "new", "name", "value", "reason"),
    [
        (
            "serving.processes_left",
            "none",
            "serving",
            "malformed",
            "processes_left: Input should be a valid int",
        ),
        ("parity.interface_problems", PROBLEMS, "parity.interface", 2, "x is float64; no y"),
        ("serving.interface_problems", PROBLEMS, "serving.interface", 2, "x is float64; no y"),
        ("data_report.examples_table", "x", "data_report", "malformed", "'x' is none of the tables"),
    ],
)
def test_what_is_wrong_is_told_whole(field, new, name, value, reason):
    (failure,) = changed({field: new}).failures
    assert (failure.name, failure.value) == (name, value)
    assert reason in failure.reason


def test_a_policy_that_cannot_be_read_blocks_and_says_why():
    (failure,) = judge(passing_reports(), "").failures
    assert (failure.name, failure.value, failure.reason) == ("policy", "unreadable", "the policy is empty")


@pytest.mark.parametrize("index", range(len(BAD_REQUESTS)))
def test_a_required_bad_request_that_was_not_made_blocks(index):
    verdict = judge(removed(passing_reports(), ("serving", "bad_requests", index)))
    assert failing(verdict) == {f"serving.refuses.{[*BAD_REQUESTS][index]}"}


@pytest.mark.parametrize(("status", "told"), {0: "nothing", 200: 200, 302: 302, 399: 399, 503: 503}.items())
def test_what_is_no_refusal_by_the_protocol_blocks(status, told):
    verdict = changed({f"serving.bad_requests.{[*BAD_REQUESTS].index('nan')}.status": status})
    assert failing(verdict) == {"serving.refuses.nan"}
    assert f"answered {told} to it" in verdict.failures[0].reason


def test_a_bad_request_and_a_batch_size_that_the_policy_does_not_ask_for_count_too():
    serving = passing_reports()["serving"]
    bad = [*serving["bad_requests"], {"name": "rude", "status": 200}]
    assert failing(changed({"serving.bad_requests": bad})) == {"serving.refuses.rude"}
    batches = [*serving["batches"], {**serving["batches"][0], "size": 3, "rows": 300, "violations": 1}]
    assert failing(changed({"serving.batches": batches})) == {"serving.batches_of_3.violations"}


def test_a_server_that_was_never_asked_about_all_examples_at_once_blocks():
    verdict = judge(removed(passing_reports(), ("serving", "batches", 3)))
    assert failing(verdict) == {"serving.batch_sizes_missing"}
    assert f"{EXAMPLES}" in verdict.failures[0].reason

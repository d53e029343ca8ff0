"""Waivers: an explicit, recorded exception for a measured number, until a day, and for nothing else."""

import datetime

import pytest
from mutations import BLOCKING, MUTATIONS, ONE_OF_EACH
from policies import default_text
from reports import (
    DAY,
    MANIFEST,
    changed,
    check_of,
    edited,
    failing,
    judge,
    passing_reports,
    policy_with,
    removed,
    subject,
)
from tiers import sampled

from ml.gate.evidence import decide_again, make_evidence, read_evidence
from ml.gate.policy import parse_policy
from ml.gate.waivers import WAIVABLE

CHECK = "evaluation.examples"
UNKNOWN = ("policy", "parity.test.worst_ratio", "*", "champion.*.not_worse", "champion.log_los.not_worse", "")


def waiver(check=CHECK, until="2026-12-31", **changes):
    return {"check": check, "who": "Ada", "why": "a young class", "until": until, **changes}


def waiving(*waivers):
    return policy_with({"waivers": list(waivers)})


def broken(name, policy):
    return changed(MUTATIONS[name].edits, policy)


@pytest.mark.parametrize("name", sampled(sorted(WAIVABLE), every=4))
def test_a_waived_check_lets_the_model_pass_and_says_who_why_and_until_when(name):
    assert isinstance(check_of(judge(passing_reports()), name).value, float)
    waived = {name, *MUTATIONS[name].others} & {*WAIVABLE}
    verdict = broken(name, waiving(*map(waiver, sorted(waived))))
    assert verdict.passed
    assert {check.name for check in verdict.waived} == waived
    for check in verdict.waived:
        assert not check.passed
        assert check.reason
        assert check.waiver == "waived by Ada until 2026-12-31: a young class"


def test_every_check_that_may_be_waived_is_one_that_blocks():
    assert {*WAIVABLE} <= {*BLOCKING}
    assert len({*WAIVABLE}) == len(WAIVABLE)


@pytest.mark.parametrize("name", [*UNKNOWN, *sorted({*ONE_OF_EACH, "parity.interface"} - {*WAIVABLE})])
def test_shape_parity_and_what_is_missing_are_never_waivable(name):
    with pytest.raises(ValueError, match="no check that may be waived"):
        parse_policy(waiving(waiver(name)))
    assert failing(judge(passing_reports(), waiving(waiver(name)))) == {"policy"}


@pytest.mark.parametrize(
    ("until", "passes"),
    {"2026-11-24": False, "2026-11-25": True, "2026-11-26": True, "2025-12-31": False}.items(),
)
def test_a_waiver_holds_to_the_end_of_its_last_day(until, passes):
    assert datetime.date(2026, 11, 25) == DAY
    assert broken(CHECK, waiving(waiver(until=until))).passed is passes


def test_a_waiver_of_a_check_that_passes_or_only_warns_changes_nothing():
    assert judge(passing_reports(), waiving(waiver())) == judge(passing_reports())
    worse = {**MUTATIONS["champion.log_loss.not_worse"].edits, "data_report.tables": "snapshot"}
    assert changed(worse, waiving(waiver("champion.log_loss.not_worse"))).waived == ()


def test_a_waiver_covers_its_own_check_only():
    both = {**MUTATIONS[CHECK].edits, **MUTATIONS["budget.model_bytes"].edits}
    assert failing(changed(both, waiving(waiver()))) == {"budget.model_bytes"}


@pytest.mark.parametrize(
    ("field", "wrong", "message"),
    [
        *(("who", wrong, "") for wrong in ("", " ", " Ada", "Ada ", "\x1b[31mAda", "A\nda", "Ada\x7f")),
        *(("why", wrong, "") for wrong in ("", "few\n", "\tfew")),
        *(("until", wrong, "") for wrong in ("2026-12-32", 20261231, None)),
        *(("until", wrong, ": .*no day such as") for wrong in ("soon", "1798675200", "20261231")),
        ("colour", "red", ": unknown key"),
    ],
)
def test_a_waiver_names_who_why_and_a_day_or_the_policy_is_none(field, wrong, message):
    with pytest.raises(ValueError, match=rf"waivers\.0\.{field}{message}"):
        parse_policy(waiving(waiver(**{field: wrong})))


def test_a_waiver_is_whole_and_a_check_is_waived_once():
    for field in waiver():
        with pytest.raises(ValueError, match=rf"waivers\.0\.{field}: missing"):
            parse_policy(waiving(removed(waiver(), (field,))))
    with pytest.raises(ValueError, match=rf"{CHECK} is waived twice"):
        parse_policy(waiving(waiver(), waiver(until="2027-01-01")))


def test_a_waiver_may_be_written_in_yaml_without_quotes():
    written = f"waivers: [{{check: {CHECK}, who: A, why: few, until: 2026-12-31}}]"
    (read,) = parse_policy(default_text().replace("waivers: []", written)).waivers
    assert (read.who, read.until) == ("A", datetime.date(2026, 12, 31))


def test_a_waiver_is_in_the_evidence_and_its_end_ends_the_pass():
    policy = waiving(waiver())
    reports = edited(passing_reports(), MUTATIONS[CHECK].edits)
    evidence = read_evidence(make_evidence(subject(), MANIFEST, reports, policy, DAY).to_bytes())
    assert evidence.verdict.passed
    assert [check.waiver[:13] for check in evidence.verdict.waived] == ["waived by Ada"]
    assert decide_again(evidence, policy, evidence.decided_on) == evidence.verdict
    assert decide_again(evidence, policy, datetime.date(2026, 12, 31)).passed
    assert failing(decide_again(evidence, policy, datetime.date(2027, 1, 1))) == {CHECK}


@pytest.mark.parametrize("number", [None, float("nan"), float("inf"), "128", True, -1, 1.5, []], ids=repr)
def test_a_number_that_is_missing_or_malformed_is_never_waived(number):
    assert failing(changed({CHECK: number}, waiving(waiver()))) == {"evaluation"}
    assert not judge(removed(passing_reports(), ("evaluation", "examples")), waiving(waiver())).passed


def test_what_was_not_measured_is_not_waived():
    twice = passing_reports()["evaluation"]["champion"]
    unclear = {"evaluation.champion": {**twice, "incomparable": "it is gone", "shared": None}}
    policy = waiving(
        *(waiver(f"champion.{name}.not_worse") for name in ("log_loss", "top5_mass", "hit_at_5"))
    )
    assert failing(changed(unclear, policy)) == {"champion.comparable"}

"""Waivers: an explicit, recorded exception for a measured number, until a day, and for nothing else."""

import datetime
import json

import pytest
from mutations import BLOCKING, MUTATIONS, ONE_OF_EACH
from reports import (
    DAY,
    MANIFEST,
    POLICY,
    edited,
    failing,
    judge,
    passing_reports,
    removed,
    subject,
)
from tiers import sampled

from ml.gate.evidence import decide_again, make_evidence, read_evidence
from policies import default_text
from ml.gate.policy import parse_policy
from ml.gate.waivers import WAIVABLE

CHECK = "evaluation.songs"
WAIVED = sorted(name for name in BLOCKING if name in WAIVABLE)
UNWAIVABLE = sorted(set(BLOCKING) - set(WAIVED))
"""What may stand where a good number stood."""


def waiver(check=CHECK, until="2026-12-31", **changes):
    return {"check": check, "who": "Ada", "why": "the new market has few songs", "until": until, **changes}


def waiving(*waivers):
    return json.dumps({**json.loads(POLICY), "waivers": list(waivers)})


def broken(name):
    return edited(passing_reports(), MUTATIONS[name].edits)


@pytest.mark.parametrize("name", sampled(WAIVED, every=4))
def test_a_waived_check_lets_the_model_pass_and_says_who_why_and_until_when(name):
    policy = waiving(*(waiver(check) for check in {name, *MUTATIONS[name].others} if check in WAIVABLE))
    verdict = judge(broken(name), policy)
    assert verdict.passed
    assert {check.name for check in verdict.waived} == {
        name,
        *(other for other in MUTATIONS[name].others if other in WAIVABLE),
    }
    for check in verdict.waived:
        assert not check.passed
        assert check.reason
        assert check.waiver == "waived by Ada until 2026-12-31: the new market has few songs"


@pytest.mark.parametrize("name", sorted(set(UNWAIVABLE) & set(ONE_OF_EACH)))
def test_a_check_that_may_not_be_waived_cannot_even_be_named(name):
    with pytest.raises(ValueError, match="no check that may be waived"):
        parse_policy(waiving(waiver(name)))
    assert failing(judge(broken(name), waiving(waiver(name)))) == {"policy"}


@pytest.mark.parametrize(
    "name",
    [
        "policy",
        "data_report",
        "evaluation",
        "parity",
        "data.songs.columns",
        "evaluation.resamples",
        "parity.interface",
        "parity.test.worst_ratio",
        "parity.test.top1_flips",
        "parity.test.nonfinite",
        "*",
        "champion.*.not_worse",
        "champion.log_los.not_worse",
        "evaluation.*",
        "",
    ],
)
def test_shape_parity_and_what_is_missing_are_never_waivable(name):
    with pytest.raises(ValueError, match=r"waive|at least 1 character"):
        parse_policy(waiving(waiver(name)))


@pytest.mark.parametrize("name", WAIVABLE)
def test_every_check_that_may_be_waived_is_a_measured_check_that_there_is(name):
    checks = {check.name: check for check in judge(passing_reports()).checks}
    assert name in BLOCKING
    assert isinstance(checks[name].value, float)


@pytest.mark.parametrize(
    ("until", "passes"),
    {"2026-11-24": False, "2026-11-25": True, "2026-11-26": True, "2025-12-31": False}.items(),
)
def test_a_waiver_holds_to_the_end_of_its_last_day(until, passes):
    assert datetime.date(2026, 11, 25) == DAY
    assert judge(broken(CHECK), waiving(waiver(until=until))).passed is passes


def test_a_waiver_of_a_check_that_passes_changes_nothing():
    verdict = judge(passing_reports(), waiving(waiver()))
    assert verdict == judge(passing_reports())
    assert not verdict.waived


def test_a_waiver_covers_its_own_check_only():
    both = edited(broken(CHECK), MUTATIONS["budget.model_bytes"].edits)
    assert failing(judge(both, waiving(waiver()))) == {"budget.model_bytes"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"who": ""}, "waivers.0.who"),
        ({"why": ""}, "waivers.0.why"),
        ({"who": " "}, "waivers.0.who"),
        ({"why": "few songs\n"}, "waivers.0.why"),
        ({"who": "\x1b[31mAda"}, "waivers.0.who"),
        ({"until": "soon"}, "waivers.0.until"),
        ({"until": "1798675200"}, "waivers.0.until: .*no day such as"),
        ({"until": "20261231"}, "waivers.0.until: .*no day such as"),
        ({"until": "2026-12-32"}, "waivers.0.until"),
        ({"until": 20261231}, "waivers.0.until"),
        ({"until": None}, "waivers.0.until"),
        ({"colour": "red"}, "waivers.0.colour: unknown key"),
    ],
    ids=repr,
)
def test_a_waiver_names_who_why_and_a_day_or_the_policy_is_none(change, message):
    with pytest.raises(ValueError, match=message):
        parse_policy(waiving({**waiver(), **change}))
    for field in waiver():
        with pytest.raises(ValueError, match=f"waivers.0.{field}: missing"):
            parse_policy(waiving(removed(waiver(), (field,))))


def test_a_check_that_is_waived_twice_is_refused():
    with pytest.raises(ValueError, match=r"evaluation\.songs is waived twice"):
        parse_policy(waiving(waiver(), waiver(until="2027-01-01")))


def test_a_waiver_may_be_written_in_yaml_without_quotes():
    written = "waivers: [{check: evaluation.songs, who: Ada, why: few songs, until: 2026-12-31}]"
    policy = parse_policy(default_text().replace("waivers: []", written))
    assert policy.waivers[0].until == datetime.date(2026, 12, 31)


def test_a_waiver_changes_the_policys_digest():
    assert parse_policy(waiving(waiver())).digest != parse_policy(POLICY).digest
    assert parse_policy(waiving(waiver())).digest != parse_policy(waiving(waiver(until="2027-01-01"))).digest


def test_a_waiver_is_in_the_evidence_and_its_end_ends_the_pass():
    policy = waiving(waiver())
    evidence = read_evidence(make_evidence(subject(), MANIFEST, broken(CHECK), policy, DAY).to_bytes())
    assert evidence.verdict.passed
    assert [check.waiver[:13] for check in evidence.verdict.waived] == ["waived by Ada"]
    # It is held against the day of its decision, whatever day it is now.
    assert decide_again(evidence, policy, evidence.decided_on) == evidence.verdict
    assert decide_again(evidence, policy, datetime.date(2026, 12, 31)).passed
    assert failing(decide_again(evidence, policy, datetime.date(2027, 1, 1))) == {CHECK}


@pytest.mark.parametrize("number", [None, float("nan"), float("inf"), "128", True, -1, 1.5, []], ids=repr)
def test_a_number_that_is_missing_or_malformed_is_never_waived(number):
    reports = edited(passing_reports(), {"evaluation.songs": number})
    assert "evaluation" in failing(judge(reports, waiving(waiver())))
    assert not judge(removed(passing_reports(), ("evaluation", "songs")), waiving(waiver())).passed

"""The evidence: a closed, canonical document in which whoever reads it can decide again."""

import pytest
from reports import (
    DAY,
    MANIFEST,
    POLICY,
    edited,
    failing,
    passing_evidence,
    passing_reports,
    subject,
)

from ml.core.canonical import canonical_bytes, digest
from ml.gate.evidence import decide_again, make_evidence, policy_digest, read_evidence
from policies import default_policy, default_text
from ml.gate.registry import REPORTS

GOOD = passing_evidence().to_json()

"""Numbers that no check looks at: the verdict is the same without them. Nothing in the evidence gives them
away when they are changed to other plausible ones; the candidate's manifest of digests does, and the release
tests show it."""


def test_bytes_read_back_are_the_same_evidence():
    evidence = passing_evidence()
    assert read_evidence(evidence.to_bytes()) == evidence
    assert read_evidence(evidence.to_bytes()).to_bytes() == evidence.to_bytes()


def test_evidence_holds_what_it_was_made_from():
    assert GOOD["reports"] == passing_reports()
    assert GOOD["policy_digest"] == default_policy().digest
    assert GOOD["files"] == MANIFEST.to_json()["files"]
    assert decide_again(passing_evidence(), POLICY, DAY) == passing_evidence().verdict


@pytest.mark.parametrize(
    "data",
    [
        passing_evidence().to_bytes().strip(),
        passing_evidence().to_bytes() + b"\n",
        passing_evidence().to_bytes().replace(b":", b": ", 1),
        passing_evidence().to_bytes().replace(b'"dirty":false', b'"dirty":true,"dirty":false'),
        passing_evidence().to_bytes().replace(b"jukebox", b"\\u006aukebox", 1),
        canonical_bytes(dict(reversed(GOOD.items()))).replace(b"{", b"{ ", 1),
        b"",
        b"null",
        b"{}",
        b"[]",
        b"\xff",
        b'{"a":' * 100_000,
    ],
    ids=lambda data: repr(data[:16]),
)
def test_other_bytes_are_not_evidence(data):
    with pytest.raises(ValueError, match="not evidence"):
        read_evidence(data)


def test_a_policy_that_cannot_be_read_still_has_a_digest_and_blocks():
    evidence = make_evidence(subject(), MANIFEST, passing_reports(), "", DAY)
    assert evidence.policy_digest == policy_digest("") == digest(b"")
    assert failing(read_evidence(evidence.to_bytes()).verdict) == {"policy"}
    assert not decide_again(evidence, "", DAY).passed


def test_a_policy_has_the_digest_of_what_it_says_whatever_its_comments():
    assert policy_digest(default_text()) == policy_digest(POLICY) == default_policy().digest


def test_evidence_says_of_a_report_that_cannot_be_stored_why():
    evidence = make_evidence(
        subject(), MANIFEST, {**passing_reports(), "parity": {"p": object()}}, POLICY, DAY
    )
    assert evidence.reports["parity"] == {"unreadable": "Object of type object is not JSON serializable"}
    (failure,) = evidence.verdict.failures
    assert (failure.name, failure.value) == ("parity", "unreadable")
    assert failure.reason == evidence.reports["parity"]["unreadable"]


@pytest.mark.parametrize("found", [None, {"unreadable": "OSError: gone"}, {"schema": 1}, "x", [1]], ids=repr)
def test_evidence_is_written_for_any_report_and_blocks(found):
    evidence = make_evidence(subject(), MANIFEST, {"evaluation": found}, POLICY, DAY)
    assert failing(read_evidence(evidence.to_bytes()).verdict) == set(REPORTS)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_evidence_of_a_number_that_is_none_gives_the_verdict_that_it_states(number):
    reports = edited(passing_reports(), {"evaluation.model.macro_f1": number})
    evidence = read_evidence(make_evidence(subject(), MANIFEST, reports, POLICY, DAY).to_bytes())
    assert decide_again(evidence, POLICY, DAY) == evidence.verdict

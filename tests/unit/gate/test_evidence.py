"""The evidence: a closed, canonical document in which whoever reads it can decide again."""

import re

import pytest
from mutations import BLOCKING, ONE_OF_EACH
from reports import (
    DATA_CHECKS,
    DAY,
    DIGESTS,
    OTHER_DIGEST,
    POLICY,
    another,
    at,
    dotted,
    edited,
    failing,
    leaves,
    passing_evidence,
    passing_reports,
    removed,
    replaced,
    subject,
)
from tiers import PARTS, sampled

from ml.gate.canonical import canonical_bytes, digest
from ml.gate.evidence import decide_again, make_evidence, mismatches, policy_digest, read_evidence
from ml.gate.policy import default_policy, default_text
from ml.gate.verdict import REPORTS

GOOD = passing_evidence().to_json()
EXPECTED = {**GOOD["subject"], **GOOD["digests"]}
LEAVES = list(leaves(GOOD))
LOOSE = POLICY.replace('"min_songs":100', '"min_songs":1')

UNDECIDED = re.compile(
    r"reports\.("
    r"data_report\.(\w+_rows|broken_songs|checks\.\d+\.detail)"
    # The policy's bounds count, but for a check that the policy does not ask for: the last one.
    rf"|data_report\.checks\.(?!{len(DATA_CHECKS) - 1}\.)\d+\.bound"
    r"|data_report\.drift\.profile_digest"
    r"|data_report\.drift\.measured\.((before|after)\.days|correlated|(lost|new)_countries(\.\d+)?)"
    r"|evaluation\.(uniform\..*|bootstrap\.seed)"
    r"|evaluation\.slices\.(resampling\.(alpha|seed)|slices\.\d+\.standard_error|slices\.[4-7]\.name)"
    r"|evaluation\.logistic\.((log_loss\.(low|high))|(top1_mass|top5_mass|hit_at_5)\.\w+|macro_f1|calibration_error)"
    r"|evaluation\.(model|prior)\.(\w+\.(low|high)|macro_f1|calibration_error)"
    r"|evaluation\.prior\.(top1_mass|hit_at_5)\.value"
    r"|evaluation\.(gain_over_prior\.high|gain_over_logistic\.low)"
    r"|evaluation\.champion\.shared\.(features|(champion|shared)_labels|seed)"
    r"|evaluation\.champion\.shared\.\w+\.difference\.high"
    r"|evaluation\.champion\.onnx_digest"
    r"|parity\.opset"
    r"|parity\.runtimes\.\d+\.(version|families\.\d+\.(max_difference|p99_difference|worst_row))"
    r"|serving\.(server|version|bad_requests\.\d+\.status)"
    r"|parity\.runtimes\.[12]\.precision"
    # Of the runtime that is reported only, but for its differences and flips, which warn.
    r"|parity\.runtimes\.2\.(metrics|threads)\.\w+"
    r"|parity\.runtimes\.2\.families\.\d+\.(violations|top1_ties|unanswered|nonfinite|row_sum_error)"
    r")"
)
"""Numbers that no check looks at: the verdict is the same without them. Nothing in the evidence gives them
away when they are changed to other plausible ones; the candidate's manifest of digests does, and the release
tests show it."""


def refuses(value):
    """Say whether a reader who knows what the evidence should be about has something against it."""
    try:
        evidence = read_evidence(canonical_bytes(value))
    except ValueError:
        return True
    return bool(mismatches(evidence, POLICY, EXPECTED)) or not decide_again(evidence, POLICY, DAY).passed


def test_good_evidence_proves_a_pass():
    assert mismatches(passing_evidence(), POLICY, EXPECTED) == []


def test_bytes_read_back_are_the_same_evidence():
    evidence = passing_evidence()
    assert read_evidence(evidence.to_bytes()) == evidence
    assert read_evidence(evidence.to_bytes()).to_bytes() == evidence.to_bytes()


def test_evidence_holds_what_it_was_made_from():
    assert GOOD["reports"] == passing_reports()
    assert GOOD["policy_digest"] == default_policy().digest
    assert GOOD["digests"] == DIGESTS
    assert decide_again(passing_evidence(), POLICY, DAY) == passing_evidence().verdict


@pytest.mark.parametrize("part", PARTS)
def test_a_changed_value_is_refused_unless_no_check_looks_at_it(part):
    changes = {dotted(path): replaced(GOOD, (path, another(at(GOOD, path)))) for path in LEAVES[part]}
    undecided = {name for name in changes if UNDECIDED.fullmatch(name)}
    assert {name for name, changed in changes.items() if not refuses(changed)} == undecided
    assert len(changes) > 2 * len(undecided)


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_or_unknown_field_is_refused(part):
    for path in LEAVES[part]:
        if isinstance(path[-1], str) and (path[0], path[-1]) != ("reports", "schema"):
            assert refuses(removed(GOOD, path)), dotted(path)
    for path in [(), ("subject",), ("verdict",), ("verdict", "checks", 0)]:
        assert refuses(replaced(GOOD, ((*path, "colour"), "red"))), path


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


@pytest.mark.parametrize("name", sampled(BLOCKING, ONE_OF_EACH))
def test_evidence_of_a_blocked_model_says_so_and_cannot_be_talked_round(name):
    reports = edited(passing_reports(), BLOCKING[name].edits)
    blocked = make_evidence(subject(), DIGESTS, reports, POLICY, DAY)
    assert name in failing(blocked.verdict)
    assert mismatches(blocked, POLICY, EXPECTED) == []
    assert name in failing(decide_again(blocked, POLICY, DAY))
    talked = read_evidence(canonical_bytes({**blocked.to_json(), "verdict": GOOD["verdict"]}))
    found = mismatches(talked, POLICY, EXPECTED)
    assert found == ["the stated verdict is not what its own numbers give"]
    assert name in failing(decide_again(talked, POLICY, DAY))


def test_a_blocked_verdict_over_passing_numbers_is_no_proof_either():
    blocked = replaced(GOOD, (("verdict", "passed"), False))
    assert refuses(blocked)


@pytest.mark.parametrize("name", EXPECTED)
def test_evidence_about_something_else_is_named(name):
    (found,) = mismatches(passing_evidence(), POLICY, {**EXPECTED, name: "what we asked for"})
    assert found == f"{name} is {EXPECTED[name]!r} in the evidence, expected 'what we asked for'"


def test_a_file_that_the_evidence_does_not_know_is_not_proven():
    assert mismatches(passing_evidence(), POLICY, {"model.tflite": OTHER_DIGEST})


def test_evidence_under_another_policy_is_refused_even_if_its_numbers_pass_ours():
    assert LOOSE != POLICY
    loose = make_evidence(subject(), DIGESTS, passing_reports(), LOOSE, DAY)
    assert loose.verdict.passed
    assert mismatches(loose, LOOSE, EXPECTED) == []
    assert mismatches(loose, POLICY, EXPECTED) == ["the run was judged under another policy"]


def test_a_policy_that_cannot_be_read_still_has_a_digest_and_blocks():
    evidence = make_evidence(subject(), DIGESTS, passing_reports(), "", DAY)
    assert evidence.policy_digest == policy_digest("") == digest(b"")
    assert failing(read_evidence(evidence.to_bytes()).verdict) == {"policy"}
    assert not decide_again(evidence, "", DAY).passed


def test_a_policy_has_the_digest_of_what_it_says_whatever_its_comments():
    assert policy_digest(default_text()) == policy_digest(POLICY) == default_policy().digest


def test_evidence_says_of_a_report_that_cannot_be_stored_why():
    evidence = make_evidence(
        subject(), DIGESTS, {**passing_reports(), "parity": {"p": object()}}, POLICY, DAY
    )
    assert evidence.reports["parity"] == {"unreadable": "Object of type object is not JSON serializable"}
    (failure,) = evidence.verdict.failures
    assert (failure.name, failure.value) == ("parity", "unreadable")
    assert failure.reason == evidence.reports["parity"]["unreadable"]


@pytest.mark.parametrize("found", [None, {"unreadable": "OSError: gone"}, {"schema": 1}, "x", [1]], ids=repr)
def test_evidence_is_written_for_any_report_and_blocks(found):
    evidence = make_evidence(subject(), DIGESTS, {"evaluation": found}, POLICY, DAY)
    assert failing(read_evidence(evidence.to_bytes()).verdict) == set(REPORTS)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_evidence_of_a_number_that_is_none_gives_the_verdict_that_it_states(number):
    reports = edited(passing_reports(), {"evaluation.model.macro_f1": number})
    evidence = read_evidence(make_evidence(subject(), DIGESTS, reports, POLICY, DAY).to_bytes())
    assert decide_again(evidence, POLICY, DAY) == evidence.verdict

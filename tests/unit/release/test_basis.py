"""Promotion on an attestation: about exactly these bytes, this policy and this champion, and only once."""

import datetime

import pytest
from attestations import statement_about, trust_file
from candidates import candidate_files, delete, overwrite, paths, put, read
from promotions import ago, attestation_of, refused, release
from reports import POLICY, STRICT, judge, passing_reports, policy_with

from ml.core.canonical import digest
from ml.core.errors import EvidenceError, GateBlocked, UsageError
from ml.gate.evidence import read_evidence
from ml.gate.policy import parse_policy
from ml.gate.verdict import Verdict
from ml.release.basis import CLOCKS, Production, attested
from ml.release.promotion import promote
from ml.release.rollback import rollback
from ml.release.signing import sign, verify_envelope

AGAIN = "attest it again: `jukebox judge attest "
NOTHING, SELF_CHECKED = Production("", ""), Production("c" * 64, "self-checked")
LYING = judge(passing_reports(), STRICT).model_copy(update={"passed": True})
NOW, DAY, SECOND = ago(), datetime.timedelta(days=1), datetime.timedelta(seconds=1)


@pytest.fixture
def attest(store, keys):
    """Attest a candidate beside the champion."""
    return lambda name="A", **about: attestation_of(store, name, keys[0], **about)


@pytest.fixture
def promoted(store, keys):
    """Promote on an attestation."""
    trust = keys[1]
    return lambda name, signed: promote(store, put(store, name), POLICY, attestation=signed, trust=trust)


@pytest.fixture
def rejected(store, keys):
    def rejected(message, envelope, name="A"):
        options = {"attestation": envelope, "trust": keys[1]}
        refused(store, message, promote, put(store, name), POLICY, **options)

    return rejected


def basis(production=NOTHING, policy=POLICY, now=NOW, **about):
    statement = statement_about(candidate_files(), **{"at": now, **about})
    return attested(statement, b"", statement.candidate, parse_policy(policy), production, now)


@pytest.mark.parametrize(
    ("production", "about", "error", "message"),
    [
        (NOTHING, {"verdict_passes": False}, GateBlocked, r"does not pass: serving\.memory_mb: "),
        (NOTHING, {"verdict": Verdict(passed=False, checks=())}, GateBlocked, "the verdict is not a pass"),
        (NOTHING, {"verdict": LYING}, GateBlocked, r"does not pass: evaluation\.examples: "),
        (NOTHING, {"policy_text": STRICT}, EvidenceError, f"under another policy .*{AGAIN}"),
        (NOTHING, {"at": NOW - 30 * DAY - SECOND}, EvidenceError, rf"accepts \(30 days\); {AGAIN}"),
        (NOTHING, {"at": NOW + CLOCKS + SECOND}, EvidenceError, f"in the future; {AGAIN}"),
        (NOTHING, {"model_name": "../x"}, EvidenceError, "names the model '../x'"),
        (SELF_CHECKED, {}, EvidenceError, f"nothing was in production; now it is c{{12}}; {AGAIN}"),
        (SELF_CHECKED, {"champion": "c" * 64}, EvidenceError, f"attested; the log says self-.*; {AGAIN}"),
    ],
    ids=["verdict", "not a pass", "lying verdict", "policy", "old", "future", "name", "champion", "kind"],
)
def test_an_attestation_that_does_not_hold_here_is_refused(production, about, error, message):
    with pytest.raises(error, match=message):
        basis(production, **about)


def test_an_attestation_is_accepted_up_to_its_last_and_from_its_first_moment():
    for at in (NOW - 30 * DAY, NOW + CLOCKS):
        assert basis(at=at).kind == "attested"


def test_a_waiver_that_has_expired_since_the_attestation_lets_nothing_in():
    waiver = {"check": "budget.model_bytes", "who": "Ada", "why": "a new market", "until": "2999-12-31"}
    policy, now = policy_with({"waivers": [waiver]}), datetime.datetime(2999, 12, 31, tzinfo=datetime.UTC)
    waived = candidate_files(broken="budget.model_bytes", policy=policy)["evidence.json"]
    about = {"policy": policy, "policy_text": policy, "verdict": read_evidence(waived).verdict, "at": now}
    assert basis(now=now, **about).waived == ("budget.model_bytes",)
    with pytest.raises(GateBlocked, match=r"the waiver of budget\.model_bytes has expired"):
        basis(now=now + DAY, **about)


def test_an_attested_candidate_is_promoted_whatever_its_run_reports(store, keys, attest, promoted):
    candidate = release(store)
    for path in (path for path in paths(store.uri) if "/reports/" in path):
        overwrite(store.uri, path, b"typed by hand")
    envelope = attest(commit="c0ffee" * 6, dirty=True)
    assert promote(store, candidate, POLICY, attestation=envelope, trust=keys[1], why="better").new
    before, logged = store.log()
    assert (before.kind, logged.kind, logged.attestation) == ("self-checked", "attested", digest(envelope))
    statement = verify_envelope(envelope, keys[1])
    assert (logged.evidence_digest, logged.commit) == (digest(statement.to_bytes()), "c0ffee" * 6)
    assert (logged.dirty, logged.synthetic, logged.why) == (True, False, "better")
    kept = f"promoted/{candidate}/attestations/{digest(envelope)[7:]}.json"
    assert read(store.uri, kept) == envelope
    assert not promote(store, candidate, POLICY).new


def test_one_by_a_stranger_or_about_something_else_is_refused(store, keys, rejected, attest, tmp_path):
    candidate, other, envelope = put(store), put(store, "B"), attest()
    without = "has no attestation: make one with `jukebox judge attest .*--attestation"
    refused(store, without, promote, candidate, POLICY, trust=keys[1])
    untrusted = {"error": UsageError, "attestation": envelope}
    refused(store, "--attestation needs --trust", promote, candidate, POLICY, **untrusted)
    rejected("does not hold", attestation_of(store, "A", trust_file(tmp_path / "another")[0]))
    rejected(f"about candidate {other[:12]}, not ", attest("B"))
    release(store, "C")
    rejected(
        "was submitted as model other-team, .* serves jukebox", attest("B", model_name="other-team"), "B"
    )


@pytest.mark.parametrize("signed_again", [False, True])
def test_a_repeat_completes_the_entry_and_makes_none(store, keys, attest, promoted, signed_again):
    envelope = attest()
    first = promoted("A", envelope)
    delete(store.uri, "serving/jukebox/1/model.onnx")
    if signed_again:
        envelope = sign(verify_envelope(envelope, keys[1]), keys[0])
    again = promoted("A", envelope)
    assert (again.new, again.unpublished, again.promotion) == (False, 1, first.promotion)
    assert store.is_served(first.promotion)


def test_after_a_rollback_an_attestation_is_no_longer_in_force(store, keys, rejected, attest, promoted):
    first = promoted("A", attest()).promotion
    # After the rollback the champion is A again, so that another attestation of B from before fits again.
    envelope, spare = attest("B"), attest("B", at=ago(minutes=2))
    promoted("B", envelope)
    assert rollback(store).promotion.attestation == first.attestation
    for again in (envelope, sign(verify_envelope(envelope, keys[1]), keys[0])):
        rejected("has already made promotion 2.*`jukebox rollback --to 2`", again, "B")
    rejected("was made before rollback 3 of the log; attest it again", spare, "B")
    rollback(store, to=2)
    assert not promoted("B", envelope).new
    rollback(store, to=1)
    assert promoted("B", attest("B")).new

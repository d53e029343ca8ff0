"""Promotion on an attestation: about exactly these bytes, this policy and this champion, and only once."""

import datetime
import json

import pytest
from attestations import statement_about, trust_file
from candidates import candidate_files, delete, overwrite, paths, promotion_refused, put, read
from promotions import EVERYWHERE, ago, attestation_of, release, release_attested
from reports import POLICY, edited

from ml.core.canonical import digest
from ml.core.errors import EvidenceError, GateBlocked, UsageError
from ml.gate.evidence import read_evidence
from ml.gate.policy import parse_policy
from ml.release.basis import CLOCKS, Production, attested
from ml.release.promotion import champion_of, promote
from ml.release.rollback import rollback
from ml.release.signing import sign, verify_envelope

AGAIN = "attest it again: `jukebox judge attest "
OTHER_POLICY = json.dumps(edited(json.loads(POLICY), {"evaluation.min_examples": 1}))


@pytest.fixture
def attest(store, keys):
    """Attest a candidate beside the champion."""
    return lambda name="A", **about: attestation_of(store, name, keys[0], **about)


@pytest.fixture
def promoted(store, keys):
    def promoted(name, envelope):
        return promote(store, put(store, name), POLICY, attestation=envelope, trust=keys[1])

    return promoted


@pytest.fixture
def refused(store, keys):
    def check(message, envelope, name="A", error=EvidenceError):
        candidate = put(store, name)
        promotion_refused(store, candidate, error, message, attestation=envelope, trust=keys[1])

    return check


def test_an_attested_candidate_is_promoted_whatever_its_run_reports(store, keys, attest):
    candidate = put(store, broken="parity.served.test.worst_ratio")
    for path in (path for path in paths(store.uri) if "/reports/" in path):
        overwrite(store.uri, path, b"typed by hand")
    envelope = attest(commit="c0ffee" * 6, dirty=True)
    outcome = promote(store, candidate, POLICY, attestation=envelope, trust=keys[1], why="better")
    (logged,) = store.log()
    statement = verify_envelope(envelope, keys[1])
    assert outcome.promotion == logged
    assert (logged.kind, logged.attestation) == ("attested", digest(envelope))
    assert (logged.evidence_digest, logged.commit) == (digest(statement.to_bytes()), "c0ffee" * 6)
    assert (logged.dirty, logged.synthetic, logged.why) == (True, False, "better")
    kept = f"promoted/{candidate}/attestations/{digest(envelope)[7:]}.json"
    assert read(store.uri, kept) == envelope
    assert read(store.uri, "serving/jukebox/1/model.onnx") == candidate_files()["model.onnx"]


@pytest.mark.parametrize(
    ("about", "error", "message"),
    [
        ({"verdict_passes": False}, GateBlocked, r"does not pass: serving\.memory_mb: "),
        ({"policy_text": OTHER_POLICY}, EvidenceError, f"under another policy .*{AGAIN}"),
        ({"at": ago(days=31)}, EvidenceError, rf"older than the policy accepts \(30 days\); {AGAIN}"),
        ({"at": ago(minutes=-60)}, EvidenceError, f"in the future; {AGAIN}"),
        ({"model_name": "../x"}, EvidenceError, "names the model '../x'"),
    ],
    ids=["verdict", "policy", "old", "future", "name"],
)
def test_an_attestation_that_does_not_hold_here_is_refused(refused, attest, about, error, message):
    refused(message, attest(**about), error=error)


def test_one_by_a_stranger_or_about_another_candidate_is_refused(store, keys, refused, attest, tmp_path):
    candidate, other = put(store), put(store, "B")
    without = "has no attestation: make one with `jukebox judge attest .*--attestation"
    promotion_refused(store, candidate, EvidenceError, without, trust=keys[1])
    promotion_refused(store, candidate, UsageError, "--attestation needs --trust", attestation=attest())
    refused("does not hold", attestation_of(store, "A", trust_file(tmp_path / "another")[0]))
    refused("attestation", b"{}")
    refused(f"about candidate {other[:12]}, not ", attest("B"))
    envelope = attest()
    overwrite(store.uri, f"candidates/{candidate}/model.onnx", b"another")
    changed = r"model\.onnx is missing or was changed"
    promotion_refused(store, candidate, EvidenceError, changed, attestation=envelope, trust=keys[1])


def test_an_attestation_for_another_champion_kind_or_name_is_made_again(refused, store, attest, promoted):
    early = attest("B")
    first = release(store, "A")
    refused(f"nothing was in production; now it is {first[:12]}; {AGAIN}", early, "B")
    wrong = attest("B", champion_kind="attested")
    refused(f"says that the champion is attested; the log says self-checked; {AGAIN}", wrong, "B")
    wrong = attest("B", model_name="other-team")
    refused("was submitted as model other-team, .* serves jukebox", wrong, "B")
    assert promoted("B", attest("B")).promotion.kind == "attested"


@pytest.mark.parametrize("signed_again", [False, True])
def test_a_repeat_completes_the_entry_and_makes_none(store, keys, attest, promoted, signed_again):
    envelope = attest()
    first = promoted("A", envelope)
    delete(store.uri, "serving/jukebox/1/model.onnx")
    if signed_again:
        envelope = sign(verify_envelope(envelope, keys[1]), keys[0])
        assert digest(envelope) != first.promotion.attestation
    again = promoted("A", envelope)
    assert (again.new, again.unpublished, again.promotion) == (False, 1, first.promotion)
    assert read(store.uri, "serving/jukebox/1/model.onnx") == candidate_files()["model.onnx"]


def test_after_a_rollback_an_attestation_is_no_longer_in_force(store, keys, refused, attest, promoted):
    first = release_attested(store, "A", keys).promotion
    # After the rollback the champion is A again, so that another attestation of B from before fits again.
    envelope, spare = attest("B"), attest("B", at=ago(minutes=2))
    promoted("B", envelope)
    assert rollback(store).promotion.attestation == first.attestation
    for again in (envelope, sign(verify_envelope(envelope, keys[1]), keys[0])):
        refused("has already made promotion 2.*`jukebox rollback --to 2`", again, "B")
    refused("was made before rollback 3 of the log; attest it again", spare, "B")
    rollback(store, to=2)
    assert not promoted("B", envelope).new
    rollback(store, to=1)
    assert promoted("B", attest("B")).new


def test_a_self_checked_champion_becomes_an_attested_one_by_an_entry_of_its_own(store, keys, attest):
    candidate = release(store, "A")
    assert promote(store, candidate, POLICY, attestation=attest(), trust=keys[1]).new
    assert [entry.kind for entry in store.log()] == ["self-checked", "attested"]
    assert champion_of(store.log()) == candidate
    assert not promote(store, candidate, EVERYWHERE).new


def test_another_verifier_is_given_what_was_handed_in(folder, keys):
    asked = []

    def verify(*given):
        asked.append(given)
        return statement_about(candidate_files(), at=ago(minutes=1))

    assert promote(folder, put(folder), POLICY, attestation=b"x", trust=keys[1], verify=verify).new
    assert asked == [(b"x", keys[1])]


def _attested(now, then, policy=POLICY, **about):
    statement = statement_about(candidate_files(), at=then, policy_text=policy, **about)
    return attested(statement, b"", statement.candidate, parse_policy(policy), Production("", ""), now)


def test_a_waiver_that_has_expired_since_the_attestation_lets_nothing_in():
    waiver = {"check": "budget.model_bytes", "who": "Ada", "why": "a new market", "until": "2999-12-31"}
    policy = json.dumps({**json.loads(POLICY), "waivers": [waiver]})
    now = datetime.datetime(2999, 12, 31, tzinfo=datetime.UTC)
    waived = candidate_files(broken="budget.model_bytes", policy=policy)["evidence.json"]
    about = {"then": now, "policy": policy, "verdict": read_evidence(waived).verdict}
    assert _attested(now, **about).waived == ("budget.model_bytes",)
    with pytest.raises(GateBlocked, match=r"the waiver of budget\.model_bytes has expired"):
        _attested(now + datetime.timedelta(days=1), **about)


@pytest.mark.parametrize("bound", [datetime.timedelta(days=30), -CLOCKS])
def test_an_attestation_is_accepted_up_to_its_last_and_from_its_first_moment(bound):
    now = datetime.datetime(2026, 8, 31, 12, tzinfo=datetime.UTC)
    assert _attested(now, now - bound).kind == "attested"
    with pytest.raises(EvidenceError, match=r"older than|in the future"):
        _attested(now + bound / abs(bound) * datetime.timedelta(seconds=1), now - bound)

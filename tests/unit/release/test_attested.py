"""Promotion on an attestation: a valid one about just these bytes, policy and champion, and once."""

import datetime
import json

import pytest
from attestations import make_attestation, statement_about, trust_file
from candidates import candidate_files, delete, overwrite, paths, promotion_refused, put, read
from promotions import EVERYWHERE, ago, attestation_of, release, release_attested
from reports import POLICY, edited

from ml.core.canonical import digest
from ml.core.errors import EvidenceError, GateBlocked, UsageError
from ml.gate.evidence import read_evidence
from ml.gate.policy import parse_policy
from ml.release.basis import Production, attested
from ml.release.promotion import champion_of, promote
from ml.release.rollback import rollback
from ml.release.signing import sign, verify_envelope

AGAIN = "attest it again: `jukebox judge attest "


@pytest.fixture
def refused(store, keys):
    """Check that candidate A is refused with an attestation."""

    def check(message, envelope, error=EvidenceError, candidate="", policy=POLICY):
        promotion_refused(
            store, candidate or put(store), error, message, policy, attestation=envelope, trust=keys[1]
        )

    return check


def test_an_attested_candidate_is_promoted_and_its_attestation_kept(store, keys):
    candidate, envelope = put(store), attestation_of(store, "A", keys[0], commit="c0ffee" * 6, dirty=True)
    outcome = promote(store, candidate, POLICY, attestation=envelope, trust=keys[1], why="better")
    (logged,) = store.log()
    assert outcome.promotion == logged
    assert (logged.kind, logged.attestation) == ("attested", digest(envelope))
    assert logged.evidence_digest == digest(verify_envelope(envelope, keys[1]).to_bytes())
    assert (logged.commit, logged.dirty, logged.synthetic, logged.why) == (
        "c0ffee" * 6,
        True,
        False,
        "better",
    )
    name = digest(envelope).removeprefix("sha256:")
    assert read(store.uri, f"promoted/{candidate}/attestations/{name}.json") == envelope
    assert read(store.uri, "serving/jukebox/1/model.onnx") == candidate_files()["model.onnx"]


def test_what_a_run_reports_plays_no_part(store, keys):
    candidate = put(store, broken="parity.served.test.worst_ratio")
    for path in paths(store.uri):
        if "/reports/" in path:
            overwrite(store.uri, path, b"typed by hand")
    envelope = attestation_of(store, "A", keys[0])
    assert promote(store, candidate, POLICY, attestation=envelope, trust=keys[1]).new


def test_with_a_trust_root_a_candidate_without_attestation_is_refused(store, keys):
    refusal = "has no attestation: make one with `jukebox judge attest .*--attestation"
    promotion_refused(store, put(store), EvidenceError, refusal, trust=keys[1])


def test_an_attestation_without_a_trust_root_says_nothing(store, keys):
    envelope = attestation_of(store, "A", keys[0])
    promotion_refused(store, put(store), UsageError, "--attestation needs --trust", attestation=envelope)


def test_an_attestation_by_an_unknown_key_or_of_no_one_is_refused(refused, store, tmp_path):
    key, _ = trust_file(tmp_path / "another")
    refused("does not hold", attestation_of(store, "A", key))
    refused("attestation", b"{}")


def test_an_attestation_of_another_model_is_refused(refused, store, keys):
    other = put(store, "B")
    refused(f"about candidate {other[:12]}, not ", attestation_of(store, "B", keys[0]))


def test_an_attestation_that_blocks_is_refused_with_its_reason(refused, store, keys):
    envelope = attestation_of(store, "A", keys[0], verdict_passes=False)
    refused(r"does not pass: serving\.memory_mb: ", envelope, GateBlocked)


def test_an_attestation_under_another_policy_is_refused(refused, store, keys):
    other = json.dumps(edited(json.loads(POLICY), {"evaluation.min_songs": 1}))
    refused(f"under another policy .*{AGAIN}", attestation_of(store, "A", keys[0], policy_text=other))


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ({"days": 31}, "older than the policy accepts .30 days."),
        ({"minutes": -10}, "in the future"),
    ],
)
def test_an_attestation_that_is_too_old_or_of_the_future_is_refused(refused, store, keys, at, message):
    refused(f"{message}; {AGAIN}", attestation_of(store, "A", keys[0], at=ago(**at)))


def test_an_attestation_for_another_champion_is_made_again_and_nothing_is_trained(store, keys):
    early = attestation_of(store, "B", keys[0])
    first = release_attested(store, "A", keys).promotion.candidate
    candidate = put(store, "B")
    told = f"nothing was in production; now it is {first[:12]}; {AGAIN}"
    promotion_refused(store, candidate, EvidenceError, told, attestation=early, trust=keys[1])
    again = attestation_of(store, "B", keys[0])
    assert promote(store, candidate, POLICY, attestation=again, trust=keys[1]).new


def test_an_attestation_that_takes_the_champion_for_another_kind_is_refused(store, keys):
    release(store, "A")
    envelope = attestation_of(store, "B", keys[0], champion_kind="attested")
    told = f"says that the champion is attested; the log says self-checked; {AGAIN}"
    promotion_refused(store, put(store, "B"), EvidenceError, told, attestation=envelope, trust=keys[1])
    assert release_attested(store, "B", keys).promotion.kind == "attested"


def test_a_model_name_that_cannot_be_served_is_refused(refused, store, keys):
    refused("names the model '../x'", attestation_of(store, "A", keys[0], model_name="../x"))


def test_a_candidate_whose_bytes_changed_since_is_refused(refused, store, keys):
    candidate, envelope = put(store), attestation_of(store, "A", keys[0])
    overwrite(store.uri, f"candidates/{candidate}/model.onnx", b"another")
    refused(r"model\.onnx is missing or was changed", envelope, candidate=candidate)


@pytest.mark.parametrize("signed_again", [False, True])
def test_a_repeat_completes_the_entry_and_makes_none(store, keys, signed_again):
    envelope, candidate = attestation_of(store, "A", keys[0]), put(store)
    first = promote(store, candidate, POLICY, attestation=envelope, trust=keys[1])
    delete(store.uri, "serving/jukebox/1/model.onnx")
    if signed_again:
        envelope = sign(verify_envelope(envelope, keys[1]), keys[0])
        assert digest(envelope) != first.promotion.attestation
    again = promote(store, candidate, POLICY, attestation=envelope, trust=keys[1])
    assert (again.new, again.unpublished, again.promotion) == (False, 1, first.promotion)
    assert read(store.uri, "serving/jukebox/1/model.onnx") == candidate_files()["model.onnx"]


def test_a_replay_after_a_rollback_is_refused(store, keys):
    first = release_attested(store, "A", keys).promotion
    envelope = attestation_of(store, "B", keys[0])
    second = put(store, "B")
    promote(store, second, POLICY, attestation=envelope, trust=keys[1])
    assert rollback(store).promotion.attestation == first.attestation
    told = "has already made promotion 2.*`jukebox rollback --to 2`, or attest"
    promotion_refused(store, second, EvidenceError, told, attestation=envelope, trust=keys[1])
    # The model was rolled back for a reason; somebody may measure it again.
    fresh = attestation_of(store, "B", keys[0])
    assert promote(store, second, POLICY, attestation=fresh, trust=keys[1]).new


def test_what_was_attested_before_a_rollback_does_not_undo_it(refused, store, keys):
    """After it the champion is the one of before, so that another attestation of the bad model fits again."""
    release_attested(store, "B", keys)
    spare = attestation_of(store, "A", keys[0], at=ago(minutes=2))
    release_attested(store, "A", keys)
    rollback(store)
    refused("was made before rollback 3 of the log; attest it again", spare)
    later = attestation_of(store, "A", keys[0], at=ago(minutes=-1))
    assert promote(store, put(store), POLICY, attestation=later, trust=keys[1]).new


def test_after_a_rollback_and_back_the_attestation_is_in_force_again(store, keys):
    release_attested(store, "A", keys)
    envelope = attestation_of(store, "B", keys[0])
    second = put(store, "B")
    promote(store, second, POLICY, attestation=envelope, trust=keys[1])
    rollback(store)
    rollback(store, to=2)
    assert not promote(store, second, POLICY, attestation=envelope, trust=keys[1]).new
    assert len(store.log()) == 4


def test_a_self_checked_champion_becomes_an_attested_one_by_an_entry_of_its_own(store, keys):
    candidate = release(store, "A")
    envelope = attestation_of(store, "A", keys[0])
    outcome = promote(store, candidate, POLICY, attestation=envelope, trust=keys[1])
    assert outcome.new
    assert [entry.kind for entry in store.log()] == ["self-checked", "attested"]
    assert champion_of(store.log()) == candidate
    assert not promote(store, candidate, EVERYWHERE).new


def test_the_verifier_is_given_what_was_handed_in(folder, keys):
    asked = []

    def verify(envelope, trust):
        asked.append((envelope, trust))
        return statement_about(candidate_files(), at=ago(minutes=1))

    assert promote(folder, put(folder), POLICY, attestation=b"x", trust=keys[1], verify=verify).new
    assert asked == [(b"x", keys[1])]


def test_a_waiver_that_has_ended_since_the_attestation_lets_nothing_in():
    waiver = {"check": "budget.model_bytes", "who": "Ada", "why": "a new market", "until": "2999-12-31"}
    policy = json.dumps({**json.loads(POLICY), "waivers": [waiver]})
    now = datetime.datetime(2999, 12, 31, tzinfo=datetime.UTC)
    waived = candidate_files(broken="budget.model_bytes", policy=policy)
    verdict = read_evidence(waived["evidence.json"]).verdict
    statement = statement_about(candidate_files(), at=now, policy_text=policy, verdict=verdict)
    about = statement, b"", statement.candidate, parse_policy(policy), Production("", "")
    assert attested(*about, now).waived == ("budget.model_bytes",)
    with pytest.raises(GateBlocked, match=r"the waiver of budget\.model_bytes has expired"):
        attested(*about, now + datetime.timedelta(days=1))


def test_an_attestation_is_accepted_up_to_its_last_day():
    now = datetime.datetime(2026, 8, 31, 12, tzinfo=datetime.UTC)
    statement = statement_about(candidate_files(), at=now - datetime.timedelta(days=30))
    about = statement, b"", statement.candidate, parse_policy(POLICY), Production("", "")
    assert attested(*about, now).kind == "attested"
    with pytest.raises(EvidenceError, match="older than the policy accepts .30 days."):
        attested(*about, now + datetime.timedelta(seconds=1))


def test_rollback_ignores_the_age_of_an_attestation(store, keys, monkeypatch):
    release_attested(store, "A", keys)
    release_attested(store, "B", keys)
    monkeypatch.setattr("ml.release.promotion.utc_now", lambda: ago(days=-1000))
    outcome = rollback(store)
    assert (outcome.promotion.kind, outcome.promotion.restores) == ("attested", 1)
    envelope = make_attestation(candidate_files("C"), key=keys[0])
    with pytest.raises(EvidenceError):
        promote(store, put(store, "C"), POLICY, attestation=envelope, trust=keys[1])


def test_a_run_cannot_choose_another_models_folder(refused, store, keys):
    release_attested(store, "A", keys)
    envelope = attestation_of(store, "B", keys[0], model_name="other-team")
    refused("was submitted as model other-team, .* serves jukebox", envelope, candidate=put(store, "B"))

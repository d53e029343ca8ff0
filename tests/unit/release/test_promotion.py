"""Promotion: one good candidate after the other, each judged against the champion of its day."""

import datetime
import json

import pytest
from candidates import candidate_files, delete, entry, overwrite, paths, promotion_refused, put, read
from reports import DAY, POLICY, SERVED

from ml.errors import EvidenceError, GateBlocked, UsageError
from ml.gate.canonical import digest
from ml.gate.evidence import decide_again, read_evidence
from ml.gate.policy import parse_policy
from ml.release import promotion as promotion_module
from ml.release.promotion import promote

FILES = candidate_files()


def test_a_good_candidate_is_promoted_logged_and_served(store, monkeypatch):
    monkeypatch.setenv("JUKEBOX_ACTOR", "ada@laptop")
    candidate = put(store, commit="c0ffee" * 6, dirty=True)
    outcome = promote(store, candidate, POLICY, "better in BR")
    assert (outcome.new, outcome.unpublished, outcome.found) == (True, 0, "")
    assert store.log() == [outcome.promotion]
    assert read(store.uri, "serving/jukebox/1/model.onnx") == FILES["model.onnx"]
    assert outcome.served_at == f"{store.uri}/serving/jukebox/1/model.onnx"
    found = entry(store.uri, 1)
    assert found.pop("at").endswith("Z")
    assert found == {
        "schema": "jukebox.promotion/v3",
        "number": 1,
        "action": "promote",
        "candidate": candidate,
        "model_name": "jukebox",
        "synthetic": True,
        "model_digest": digest(FILES["model.onnx"]),
        "evidence_digest": digest(read(store.uri, f"candidates/{candidate}/evidence.json")),
        "policy_digest": parse_policy(POLICY).digest,
        "champion": "",
        "replaces": 0,
        "restores": 0,
        "waived": [],
        "commit": "c0ffee" * 6,
        "dirty": True,
        "who": "ada@laptop",
        "why": "better in BR",
    }


def test_the_next_one_replaces_its_champion_and_is_served_beside_it(store):
    first = put(store, "A")
    promote(store, first, POLICY)
    second = put(store, "B", champion=first)
    outcome = promote(store, second, POLICY)
    assert (outcome.promotion.number, outcome.promotion.champion, outcome.promotion.replaces) == (2, first, 1)
    served = {path: read(store.uri, path) for path in paths(store.uri) if path.startswith("serving/")}
    assert served == {
        f"serving/jukebox/{number}/{file}": candidate_files(name)[file]
        for number, name in ((1, "A"), (2, "B"))
        for file in ("model.onnx", "served.json")
    }


def test_the_same_model_served_in_another_way_is_a_promotion_of_its_own(store):
    first = put(store)
    promote(store, first, POLICY)
    served = {**SERVED, "settings": {**SERVED["settings"], "NUM_STREAMS": "1"}}
    second = put(store, champion=first, served=served)
    outcome = promote(store, second, POLICY)
    assert (outcome.new, outcome.promotion.number) == (True, 2)
    for number, said in ((1, SERVED), (2, served)):
        assert json.loads(read(store.uri, f"serving/jukebox/{number}/served.json")) == said


def test_the_same_model_made_and_served_in_the_same_way_is_not_promoted_twice(store):
    first = put(store)
    promote(store, first, POLICY)
    outcome = promote(store, put(store, commit="another"), POLICY)
    assert (outcome.new, outcome.promotion.candidate) == (False, first)


def test_promoting_the_champion_again_changes_nothing_and_says_so(store):
    candidate = put(store)
    first = promote(store, candidate, POLICY)
    before = paths(store.uri)
    again = promote(store, candidate, POLICY)
    assert (again.new, again.promotion, again.served_at) == (False, first.promotion, first.served_at)
    assert paths(store.uri) == before


@pytest.mark.parametrize("judged_against_it", [True, False])
def test_another_candidate_with_the_champions_model_changes_nothing(store, judged_against_it):
    first = put(store, "A")
    promote(store, first, POLICY)
    same = put(store, "A", champion=first if judged_against_it else "", commit="another commit")
    assert same != first
    outcome = promote(store, same, POLICY)
    assert (outcome.new, outcome.promotion.candidate) == (False, first)
    assert len(store.log()) == 1


def test_a_promotion_that_was_logged_but_not_yet_served_is_served_by_the_next_try(store):
    candidate = put(store)
    promote(store, candidate, POLICY)
    delete(store.uri, "serving/jukebox/1/model.onnx")
    again = promote(store, candidate, POLICY)
    assert (again.new, again.unpublished) == (False, 1)
    assert again.found.startswith("promotion 1 was in the log but not published")
    assert read(store.uri, "serving/jukebox/1/model.onnx") == FILES["model.onnx"]


def test_the_next_promotion_says_that_the_last_one_was_never_published(store):
    first = put(store, "A")
    promote(store, first, POLICY)
    delete(store.uri, "serving/jukebox/1/model.onnx")
    outcome = promote(store, put(store, "B", champion=first), POLICY)
    assert (outcome.new, outcome.promotion.number, outcome.unpublished) == (True, 2, 1)


@pytest.mark.parametrize("variable", ["JUKEBOX_ACTOR", "reason"])
def test_who_and_why_are_one_line_or_nothing_is_promoted(folder, monkeypatch, variable):
    candidate = put(folder)
    if variable == "JUKEBOX_ACTOR":
        monkeypatch.setenv(variable, "two\nlines")
    before = paths(folder.uri)
    with pytest.raises(UsageError, match=variable):
        promote(folder, candidate, POLICY, "two\nlines" if variable == "reason" else "")
    assert paths(folder.uri) == before


def test_a_candidate_judged_against_another_champion_is_refused(store):
    first, rival = put(store, "A"), put(store, "B")
    early = put(store, "C", champion=first)
    promotion_refused(store, early, EvidenceError, "now it is nothing")
    promote(store, first, POLICY)
    promotion_refused(store, rival, EvidenceError, f"nothing was in production; now it is {first[:12]}")
    promote(store, early, POLICY)
    promotion_refused(store, first, EvidenceError, f"nothing was in production; now it is {early[:12]}")


def test_a_candidate_compared_with_another_model_than_its_champions_is_refused(store):
    first = put(store, "A")
    promote(store, first, POLICY)
    other = put(store, "B", champion=first, champion_model=b"a weaker model")
    promotion_refused(store, other, EvidenceError, f"not compared with the model of champion {first[:12]}")


def test_an_unknown_candidate_is_refused(store):
    promotion_refused(store, "f" * 64, EvidenceError, "there is no candidate")


def test_a_damaged_log_stops_promotion(folder):
    promote(folder, put(folder), POLICY)
    overwrite(folder.uri, "promotions/00000001.json", b"{}")
    promotion_refused(folder, put(folder, "B"), EvidenceError, "promotion 1 is damaged")


def test_what_is_served_is_what_was_promoted(store):
    overwrite(store.uri, "serving/jukebox/1/model.onnx", b"another model")
    promote(store, put(store), POLICY)
    assert read(store.uri, "serving/jukebox/1/model.onnx") == FILES["model.onnx"]


@pytest.mark.parametrize("name", ["", "..", "a/../b"])
def test_a_model_name_that_cannot_be_served_never_gets_into_evidence(folder, name):
    with pytest.raises(ValueError, match="model_name"):
        put(folder, model_name=name)


WAIVING = json.dumps(
    {
        **json.loads(POLICY),
        "waivers": [
            {"check": "budget.model_bytes", "who": "Ada", "why": "a new market", "until": "2999-12-31"}
        ],
    }
)


def test_what_was_waived_is_written_into_the_log(store):
    policy = parse_policy(WAIVING).text
    outcome = promote(store, put(store, broken="budget.model_bytes", policy=policy), policy)
    assert outcome.promotion.waived == ("budget.model_bytes",)
    assert outcome.promotion.policy_digest == parse_policy(WAIVING).digest


def test_a_waiver_that_has_ended_since_the_run_lets_nothing_in(folder, monkeypatch):
    policy = parse_policy(WAIVING).text
    candidate = put(folder, broken="budget.model_bytes", policy=policy)
    monkeypatch.setattr(promotion_module, "today", lambda: datetime.date(3000, 1, 1))
    promotion_refused(folder, candidate, GateBlocked, "budget.model_bytes", policy=policy)


@pytest.mark.parametrize(
    "edits",
    [
        {"profile_digest": digest(b"the profile of other tables")},
        {"profile_digest": digest(b""), "not_compared": "the champion has no profile", "measured": None},
    ],
    ids=["another profile", "said to have none"],
)
def test_a_candidate_whose_data_was_not_compared_with_the_champions_profile_is_refused(store, edits):
    first = put(store, "A")
    promote(store, first, POLICY)
    forged = {f"data_report.drift.{where}": value for where, value in edits.items()}
    other = put(store, "B", champion=first, edits=forged)
    assert decide_again(read_evidence(store.read_candidate(other)["evidence.json"]), POLICY, DAY).passed
    promotion_refused(store, other, EvidenceError, f"its data was not compared with champion {first[:12]}'s")
    assert promote(store, put(store, "B", champion=first), POLICY).new


def test_a_candidate_that_says_otherwise_than_the_log_whether_the_champions_data_was_synthetic_is_refused(
    store,
):
    first = put(store, "A")
    assert promote(store, first, POLICY).promotion.synthetic
    edits = {
        "data_report.drift.measured.trained_on_synthetic": False,
        "data_report.synthetic": False,
    }
    other = put(store, "B", champion=first, edits=edits)
    assert decide_again(read_evidence(store.read_candidate(other)["evidence.json"]), POLICY, DAY).passed
    promotion_refused(store, other, EvidenceError, "synthetic or not, is not what the log says")

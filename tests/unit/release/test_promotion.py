"""Promotion: one good candidate after the other, copied to where runs cannot write, logged and served."""

import datetime
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from candidates import candidate_files, delete, model_of, overwrite, paths, put, read, store_run
from promotions import refused, release
from reports import POLICY, STRICT, policy_with

from ml.core.canonical import digest
from ml.core.errors import EvidenceError, GateBlocked, UsageError
from ml.gate.policy import parse_policy
from ml.release import self_checked
from ml.release.production import append
from ml.release.promotion import promote
from ml.release.self_checked import require_self_checked_allowed
from ml.release.store import ModelStore

FILES = candidate_files()
SERVING = "serving/jukebox/1/model.onnx"
WAIVER = {"check": "budget.model_bytes", "who": "Ada", "why": "a new market", "until": "2999-12-31"}
WAIVING = policy_with({"waivers": [WAIVER]})


def test_a_good_candidate_is_promoted_copied_logged_and_served(store, monkeypatch):
    monkeypatch.setenv("JUKEBOX_ACTOR", "ada@laptop")
    files = candidate_files(commit="c0ffee", dirty=True, policy=WAIVING, broken="budget.model_bytes")
    overwrite(store.uri, SERVING, b"another model")
    candidate = store_run(store, files)
    outcome = promote(store, candidate, WAIVING, why="better in BR")
    assert (outcome.new, outcome.unpublished, outcome.checked) == (True, 0, "head not checked")
    assert (store.log(), store.read_promoted(candidate)) == ([outcome.promotion], model_of(files))
    assert outcome.served_at == f"{store.uri}/{SERVING}"
    assert read(store.uri, SERVING) == FILES["model.onnx"]
    assert read(store.uri, "serving/jukebox/1/served.json") == FILES["served.json"]
    assert outcome.head.to_json() == {"number": 1, "digest": outcome.promotion.digest}
    logged = json.loads(read(store.uri, "promotions/00000001.json"))
    assert logged.pop("at").endswith("Z")
    about = {"candidate": candidate, "model_name": "jukebox", "synthetic": True, "kind": "self-checked"}
    place = {"schema": "jukebox.promotion/v4", "number": 1, "action": "promote", "replaces": 0, "restores": 0}
    digests = {"evidence_digest": digest(files["evidence.json"]), "model_digest": digest(FILES["model.onnx"])}
    digests |= {"policy_digest": parse_policy(WAIVING).digest, "previous": "", "attestation": ""}
    told = {"commit": "c0ffee", "dirty": True, "who": "ada@laptop", "why": "better in BR", "champion": ""}
    assert logged == {**about, **place, **digests, **told, "waived": ["budget.model_bytes"]}


def test_promoting_the_champion_again_changes_nothing_and_says_so(store):
    candidate = release(store)
    # Whoever may write candidates/ cannot change what was promoted.
    overwrite(store.uri, f"candidates/{candidate}/model.onnx", b"another model")
    before = paths(store.uri)
    again = promote(store, candidate, POLICY)
    assert (again.new, [again.promotion], paths(store.uri)) == (False, store.log(), before)
    assert read(store.uri, SERVING) == FILES["model.onnx"]


@pytest.mark.parametrize("lost", ["put_promoted", "append", "publish"])
def test_a_promotion_that_dies_in_the_middle_is_completed_by_the_next(store, monkeypatch, lost):
    def dies(*_, **__):
        raise KeyboardInterrupt

    first = put(store)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ModelStore, lost, dies)
        promote(store, first, POLICY)
    outcome, left = promote(store, first, POLICY), lost == "publish"
    assert (outcome.new, outcome.unpublished, len(store.log())) == (not left, int(left), 1)
    assert outcome.found.startswith("promotion 1 was in the log but not published" if left else "")
    assert read(store.uri, SERVING) == FILES["model.onnx"]
    delete(store.uri, SERVING)
    outcome = promote(store, put(store, "B", champion=first), POLICY)
    one, two = store.log()
    assert (outcome.new, outcome.unpublished, outcome.promotion) == (True, 1, two)
    assert (two.number, two.champion, two.replaces, two.previous) == (2, first, 1, one.digest)


@pytest.mark.parametrize("attempt", range(5))
def test_of_two_candidates_judged_against_the_same_champion_exactly_one_wins(store, attempt):
    rivals, together = [put(store, name) for name in "AB"], threading.Barrier(2)

    def race(candidate):
        together.wait(timeout=30)
        try:
            return promote(ModelStore(store.uri), candidate, POLICY).promotion
        except EvidenceError:
            return None

    with ThreadPoolExecutor(2) as pool:
        (won,) = filter(None, pool.map(race, rivals))
    assert (store.log(), store.is_served(won)) == ([won], True)


def test_a_promotion_that_another_one_precedes_is_the_same_or_refused(store):
    release(store, "A")
    (entry,) = log = store.log()
    assert not append(store, [], entry, 0).new
    for changes, again in (({}, "run the pipeline again"), ({"kind": "attested"}, "attest it again")):
        rival = entry.model_copy(update={"candidate": "c" * 64, **changes})
        with pytest.raises(EvidenceError, match=rf"was faster \(.*\); .* after it, {again}"):
            append(store, [], rival, 0)
    assert store.log() == log


def test_who_and_why_are_one_line_or_nothing_is_promoted(store, monkeypatch):
    candidate = put(store)
    refused(store, "--reason", promote, candidate, POLICY, error=UsageError, why="two\nlines")
    monkeypatch.setenv("JUKEBOX_ACTOR", "two\nlines")
    refused(store, "JUKEBOX_ACTOR", promote, candidate, POLICY, error=UsageError)


def test_a_candidate_made_beside_another_champion_is_refused(store):
    first, rival = put(store, "A"), put(store, "B")
    early = put(store, "C", champion=first)
    refused(store, "now it is nothing: run the pipeline again", promote, early, POLICY)
    promote(store, first, POLICY)
    refused(store, f"nothing was in production; now it is {first[:12]}", promote, rival, POLICY)


def test_a_candidate_or_copy_that_is_not_what_its_id_says_is_refused(store):
    candidate = put(store)
    copy = f"promoted/{candidate}/model.onnx"
    overwrite(store.uri, copy, b"another")
    with pytest.raises(EvidenceError, match=rf"{copy} is there already, with other"):
        promote(store, candidate, POLICY)
    assert store.log() == []
    overwrite(store.uri, copy, FILES["model.onnx"])
    assert promote(store, candidate, POLICY).new
    other = put(store, "B", champion=candidate)
    overwrite(store.uri, f"candidates/{other}/model.onnx", b"another")
    refused(store, "model.onnx is missing or was changed", promote, other, POLICY)
    overwrite(store.uri, copy, b"another")
    refused(store, "model.onnx.* restore it from a backup", promote, candidate, POLICY)


def test_the_given_policy_and_its_waivers_decide(store, monkeypatch):
    candidate, waived = put(store), put(store, "B", broken="budget.model_bytes", policy=WAIVING)
    refused(store, "evaluation.examples: ", promote, candidate, STRICT, error=GateBlocked)
    refused(store, "the policy is empty", promote, candidate, "", error=UsageError)
    monkeypatch.setattr(self_checked, "today", lambda: datetime.date(3000, 1, 1))
    refused(store, "budget.model_bytes", promote, waived, WAIVING, error=GateBlocked)


def test_of_several_reports_the_newest_counts_unless_one_is_named(store):
    candidate = store.put_candidate(model_of(FILES), "empty", {})
    refused(store, "no run has stored evidence about it", promote, candidate, POLICY)
    put(store, run_id="good")
    another = candidate_files("B")["evidence.json"]
    for run, data, message in (("bad", b"{}", "not evidence"), ("other", another, "it is about candidate")):
        store.put_candidate(model_of(FILES), run, {"evidence.json": data})
        remedy = "--run selects another report: .*good"
        refused(store, f"as run {run} reports it: {message}.*{remedy}", promote, candidate, POLICY)
    assert promote(store, candidate, POLICY, run="good").new


@pytest.mark.parametrize(
    ("allowed", "places"), [("never", ""), ("folder", "/x file:///x"), ("always", "/x file:///x s3://x/y")]
)
def test_the_policy_says_which_stores_take_models_on_their_own_report(allowed, places):
    policy = parse_policy(policy_with({"promotion.self_checked": allowed}))
    for uri in places.split():
        require_self_checked_allowed(uri, policy)
    for uri in {"/x", "file:///x", "s3://x/y"}.difference(places.split()):
        with pytest.raises(UsageError, match=r"takes attested models only.*--attestation and --trust"):
            require_self_checked_allowed(uri, policy)

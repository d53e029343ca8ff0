"""Promotion: one good candidate after the other, copied to where runs cannot write, logged and served."""

import datetime
import json

import pytest
from candidates import candidate_files, delete, entry, model_of, overwrite, paths, put, read, store_run
from candidates import promotion_refused as refused
from mutations import ONE_OF_EACH
from promotions import EVERYWHERE, release
from reports import CHAMPION, POLICY, SERVED, edited

from ml.core.canonical import digest
from ml.core.errors import EvidenceError, GateBlocked, UsageError
from ml.gate.policy import parse_policy
from ml.release import self_checked as self_checked_module
from ml.release.production import append
from ml.release.promotion import promote
from ml.release.self_checked import require_self_checked_allowed
from ml.release.store import ModelStore

FILES = candidate_files()
SERVING = "serving/jukebox/1/model.onnx"


def changed(edits, base=EVERYWHERE):
    return parse_policy(json.dumps(edited(json.loads(base), edits))).text


WAIVERS = [{"check": "budget.model_bytes", "who": "Ada", "why": "a new market", "until": "2999-12-31"}]
WAIVING = changed({"waivers": WAIVERS})


def test_a_good_candidate_is_promoted_copied_logged_and_served(store, monkeypatch):
    monkeypatch.setenv("JUKEBOX_ACTOR", "ada@laptop")
    about = {"commit": "c0ffee" * 6, "dirty": True, "policy": WAIVING, "broken": "budget.model_bytes"}
    files = candidate_files(**about)
    overwrite(store.uri, SERVING, b"another model")
    candidate = store_run(store, files)
    outcome = promote(store, candidate, WAIVING, why="better in BR")
    assert (outcome.new, outcome.unpublished, outcome.found) == (True, 0, "")
    assert store.log() == [outcome.promotion]
    assert store.read_promoted(candidate) == model_of(files)
    assert read(store.uri, SERVING) == FILES["model.onnx"]
    assert outcome.served_at == f"{store.uri}/{SERVING}"
    assert outcome.checked == "head not checked"
    assert outcome.head.to_json() == {"number": 1, "digest": outcome.promotion.digest}
    found = entry(store.uri, 1)
    assert found.pop("at").endswith("Z")
    about = {"candidate": candidate, "model_name": "jukebox", "synthetic": True, "kind": "self-checked"}
    place = {"schema": "jukebox.promotion/v4", "number": 1, "action": "promote", "replaces": 0, "restores": 0}
    digests = {"evidence_digest": digest(files["evidence.json"]), "model_digest": digest(FILES["model.onnx"])}
    digests |= {
        "policy_digest": parse_policy(WAIVING).digest,
        "previous": "",
        "attestation": "",
        "champion": "",
    }
    told = {"commit": "c0ffee" * 6, "dirty": True, "who": "ada@laptop", "why": "better in BR"}
    assert found == {**about, **place, **digests, **told, "waived": ["budget.model_bytes"]}


def test_the_next_one_replaces_its_champion_and_is_served_beside_it(store):
    first = release(store, "A")
    # The same model that is served in another way is a candidate of its own.
    served = {**SERVED, "settings": {**SERVED["settings"], "NUM_STREAMS": "1"}}
    release(store, "A", served=served)
    release(store, "B")
    one, two, _ = store.log()
    assert (two.number, two.champion, two.replaces, two.previous) == (2, first, 1, one.digest)
    assert {path: read(store.uri, path) for path in paths(store.uri) if path.startswith("serving/")} == {
        f"serving/jukebox/{number}/{file}": candidate_files(name, served=settings)[file]
        for number, name, settings in ((1, "A", SERVED), (2, "A", served), (3, "B", SERVED))
        for file in ("model.onnx", "served.json")
    }


def test_promoting_the_champion_again_changes_nothing_and_says_so(store):
    candidate = release(store)
    (first,) = store.log()
    put(store, commit="another", run_id="another", policy=EVERYWHERE)
    # Whoever may write candidates/ cannot change what was promoted.
    overwrite(store.uri, f"candidates/{candidate}/model.onnx", b"another model")
    before = paths(store.uri)
    again = promote(store, candidate, EVERYWHERE)
    assert (again.new, again.promotion) == (False, first)
    assert paths(store.uri) == before
    assert read(store.uri, SERVING) == FILES["model.onnx"]


def test_a_promotion_that_was_logged_but_not_served_is_told_and_served_by_the_next_try(store):
    candidate = release(store, "A")
    delete(store.uri, SERVING)
    again = promote(store, candidate, EVERYWHERE)
    assert (again.new, again.unpublished) == (False, 1)
    assert again.found.startswith("promotion 1 was in the log but not published")
    assert read(store.uri, SERVING) == FILES["model.onnx"]
    delete(store.uri, SERVING)
    outcome = promote(store, put(store, "B", champion=candidate, policy=EVERYWHERE), EVERYWHERE)
    assert (outcome.new, outcome.promotion.number, outcome.unpublished) == (True, 2, 1)


@pytest.mark.parametrize("lost", ["put_promoted", "append", "publish"])
def test_a_promotion_that_dies_in_the_middle_is_completed_by_the_next(folder, monkeypatch, lost):
    candidate = put(folder)

    def dies(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ModelStore, lost, dies)
        promote(folder, candidate, POLICY)
    outcome = promote(folder, candidate, POLICY)
    assert (outcome.new, len(folder.log())) == (lost != "publish", 1)
    assert read(folder.uri, SERVING) == FILES["model.onnx"]


def test_a_promotion_that_another_one_precedes_is_the_same_or_refused(folder):
    release(folder, "A")
    (entry,) = log = folder.log()
    assert append(folder, [], entry, 0).new is False
    rival = entry.model_copy(update={"candidate": "c" * 64})
    with pytest.raises(EvidenceError, match=r"was faster \(.*\); .* after it, run the pipeline again"):
        append(folder, [], rival, 0)
    assert folder.log() == log


def test_who_and_why_are_one_line_or_nothing_is_promoted(folder, monkeypatch):
    candidate = put(folder)
    refused(folder, candidate, UsageError, "--reason", why="two\nlines")
    monkeypatch.setenv("JUKEBOX_ACTOR", "two\nlines")
    refused(folder, candidate, UsageError, "JUKEBOX_ACTOR")


def test_a_candidate_made_beside_another_champion_is_refused(folder):
    first, rival = put(folder, "A"), put(folder, "B")
    early = put(folder, "C", champion=first)
    refused(folder, early, EvidenceError, "now it is nothing: run the pipeline again")
    promote(folder, first, POLICY)
    refused(folder, rival, EvidenceError, f"nothing was in production; now it is {first[:12]}")


def test_a_candidate_or_copy_that_is_not_what_its_id_says_is_refused(store):
    refused(store, "f" * 64, EvidenceError, "there is no candidate")
    candidate = put(store, policy=EVERYWHERE)
    overwrite(store.uri, f"promoted/{candidate}/model.onnx", b"another")
    with pytest.raises(EvidenceError, match=r"promoted/.*/model\.onnx is there already, with other"):
        promote(store, candidate, EVERYWHERE)
    assert store.log() == []
    overwrite(store.uri, f"promoted/{candidate}/model.onnx", FILES["model.onnx"])
    assert promote(store, candidate, EVERYWHERE).new
    for name in ("model.onnx", "manifest.json"):
        overwrite(store.uri, f"promoted/{candidate}/{name}", b"another")
        refused(store, candidate, EvidenceError, f"{name}.* restore it from a backup", EVERYWHERE)
    other = put(store, "B", champion=candidate, policy=EVERYWHERE)
    overwrite(store.uri, f"candidates/{other}/model.onnx", b"another")
    refused(store, other, EvidenceError, "model.onnx is missing or was changed", EVERYWHERE)


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_blocked_candidate_is_refused_for_its_reason(folder, name):
    refused(folder, put(folder, broken=name, champion=CHAMPION), GateBlocked, f"{name}: ")


def test_the_given_policy_and_its_waivers_decide(folder, monkeypatch):
    strict = changed({"evaluation.min_examples": 10**6}, POLICY)
    candidate = put(folder)
    refused(folder, candidate, GateBlocked, "evaluation.examples", policy=strict)
    refused(folder, candidate, UsageError, "the policy is empty", policy="")
    waived = put(folder, "B", broken="budget.model_bytes", policy=WAIVING)
    monkeypatch.setattr(self_checked_module, "today", lambda: datetime.date(3000, 1, 1))
    refused(folder, waived, GateBlocked, "budget.model_bytes", policy=WAIVING)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *(({name: b"another"}, "it is about candidate") for name in model_of(FILES)),
        *(({"evidence.json": data}, "not evidence") for data in (b"", b"{}", FILES["evidence.json"] + b" ")),
    ],
)
def test_a_report_that_is_none_or_about_another_model_is_refused(folder, changes, message):
    refused(folder, store_run(folder, {**FILES, **changes}), EvidenceError, message)


def test_of_several_reports_the_newest_counts_unless_one_is_named(folder):
    candidate = folder.put_candidate(model_of(FILES), "empty", {})
    refused(folder, candidate, EvidenceError, "no run has stored evidence about it")
    put(folder, run_id="good")
    folder.put_candidate(model_of(FILES), "later", {"evidence.json": b"{}"})
    message = "as run later reports it: not evidence.*--run selects another.*: good"
    refused(folder, candidate, EvidenceError, message)
    assert promote(folder, candidate, POLICY, run="good").promotion.kind == "self-checked"


@pytest.mark.parametrize(
    ("allowed", "places"), [("never", ""), ("folder", "/x file:///x"), ("always", "/x file:///x s3://x/y")]
)
def test_the_policy_says_which_stores_take_models_on_their_own_report(allowed, places):
    policy = parse_policy(changed({"promotion.self_checked": allowed}))
    for uri in ("/x", "file:///x", "s3://x/y"):
        if uri in places.split():
            require_self_checked_allowed(uri, policy)
            continue
        with pytest.raises(UsageError, match=r"takes attested models only.*--attestation and --trust"):
            require_self_checked_allowed(uri, policy)


def test_by_default_a_bucket_takes_no_model_on_its_own_report(bucket):
    refused(bucket, put(bucket), UsageError, "takes attested models only")

"""Rollback: back to the model that the present one replaced, as a new entry of the log."""

import obstore
import pytest
from candidates import candidate_files, delete, entry, overwrite, paths, put, read
from promotions import EVERYWHERE, release

from ml.core.canonical import canonical_bytes, digest
from ml.core.errors import EvidenceError, UsageError
from ml.release.promotion import champion_of, promote
from ml.release.rollback import plan_rollback, rollback
from ml.release.store import ModelStore
from ml.storage.objects import open_folder


def refused(store, message=None, to=None, error=EvidenceError):
    before = paths(store.uri)
    for work in (rollback, plan_rollback):
        with pytest.raises(error, match=message):
            work(store, to)
    assert paths(store.uri) == before


def test_the_earlier_model_is_in_production_again_under_a_new_number(store, monkeypatch):
    first, second = release(store, "A"), release(store, "B")
    before = store.log()
    monkeypatch.setenv("JUKEBOX_ACTOR", "tekton/run-1")
    outcome = rollback(store, why="slow in BR")
    model = candidate_files("A")["model.onnx"]
    assert outcome.new
    assert outcome.promotion == before[0].model_copy(
        update={
            "number": 3,
            "action": "rollback",
            "champion": second,
            "restores": 1,
            "at": outcome.promotion.at,
            "who": "tekton/run-1",
            "why": "slow in BR",
            "previous": before[1].digest,
        }
    )
    assert store.log() == [*before, outcome.promotion]
    assert champion_of(store.log()) == first
    assert outcome.served_at.endswith("/serving/jukebox/3/model.onnx")
    assert read(store.uri, "serving/jukebox/3/model.onnx") == model
    assert digest(model) == outcome.promotion.model_digest


def test_without_an_earlier_model_there_is_no_way_back(store):
    refused(store, "no earlier model")
    release(store, "A")
    refused(store, "no earlier model")
    release(store, "B")
    rollback(store)
    refused(store, "no earlier model")


def test_after_a_rollback_the_next_model_replaces_the_restored_one(store):
    first = release(store, "A")
    release(store, "B")
    rollback(store)
    release(store, "C")
    assert rollback(store).promotion.restores == 1
    assert champion_of(store.log()) == first
    actions = [entry.action for entry in store.log()]
    assert actions == ["promote", "promote", "rollback", "promote", "rollback"]
    refused(store, "no earlier model")


def test_rollbacks_go_back_one_by_one(folder):
    for name in "ABC":
        release(folder, name)
    assert [rollback(folder).promotion.restores for _ in range(2)] == [2, 1]
    refused(folder, "no earlier model")
    release(folder, "D")
    assert rollback(folder).promotion.restores == 1


def test_a_model_that_was_rolled_back_can_be_promoted_again_where_its_report_still_holds(folder):
    release(folder, "A")
    second = release(folder, "B")
    rollback(folder)
    assert not promote(folder, champion_of(folder.log()), EVERYWHERE).new
    # It was judged against the model that is in production again.
    assert promote(folder, second, EVERYWHERE).new
    assert champion_of(folder.log()) == second


def test_a_model_that_was_judged_against_the_one_rolled_back_is_stale(folder):
    release(folder, "A")
    second = release(folder, "B")
    third = put(folder, "C", champion=second, policy=EVERYWHERE)
    rollback(folder)
    with pytest.raises(EvidenceError, match="was in production; now it is"):
        promote(folder, third, EVERYWHERE)


@pytest.mark.parametrize("name", ["model.keras", "model.onnx", "served.json", "manifest.json"])
def test_an_earlier_model_whose_bytes_changed_does_not_come_back(store, name):
    first = release(store, "A")
    release(store, "B")
    overwrite(store.uri, f"promoted/{first}/{name}", b"changed")
    refused(store, f"{name} (is missing or was changed|cannot be used)")


def test_what_is_written_into_candidates_plays_no_part(store):
    first = release(store, "A")
    release(store, "B")
    for path in paths(store.uri):
        if path.startswith("candidates/"):
            overwrite(store.uri, path, b"changed")
    assert rollback(store).promotion.candidate == first
    assert read(store.uri, "serving/jukebox/3/model.onnx") == candidate_files("A")["model.onnx"]


def test_a_damaged_log_stops_rollback(folder):
    for name in "AB":
        release(folder, name)
    overwrite(folder.uri, "promotions/00000001.json", b"{}")
    refused(folder, "promotion 1 is damaged")


def rewrite(store, number, **changes):
    """Change fields of an entry of the log, past the store; it is the newest, or the chain would break."""
    changed = {**entry(store.uri, number), **changes}
    overwrite(store.uri, f"promotions/{number:08}.json", canonical_bytes(changed))


@pytest.mark.parametrize(
    "changes",
    [
        {"replaces": 9},
        {"replaces": 2},
        {"action": "rollback", "restores": 9},
        {"action": "rollback", "restores": 0, "replaces": 1},
    ],
    ids=str,
)
def test_an_entry_that_points_nowhere_stops_rollback(folder, changes):
    for name in "AB":
        release(folder, name)
    rewrite(folder, 2, **changes)
    refused(folder, "promotion 2 does not fit into the log")


def test_an_entry_that_names_another_model_stops_rollback(folder):
    release(folder, "A")
    rewrite(folder, 1, model_digest=digest(b"another"))
    refused(folder, "promotion 1 does not name the model of candidate", to=1)


def test_a_rollback_that_was_interrupted_is_finished_not_repeated(store):
    """Between the log and the serving folder a process may die: the next one serves what the log says."""
    first = release(store, "A")
    for name in "BC":
        release(store, name)
    served = rollback(store).served_at
    obstore.delete(open_folder(store.uri), served.removeprefix(f"{store.uri}/"))
    again = rollback(store)
    assert (again.new, again.promotion.restores, again.served_at) == (False, 2, served)
    assert (again.unpublished, read(store.uri, "serving/jukebox/4/model.onnx")) == (
        4,
        candidate_files("B")["model.onnx"],
    )
    assert len(store.log()) == 4
    assert rollback(store).promotion.candidate == first


def test_a_promotion_that_was_never_published_is_passed_over(store):
    """It says what was found, and does what was asked: back to what preceded it."""
    first = release(store, "A")
    release(store, "B")
    delete(store.uri, "serving/jukebox/2/model.onnx")
    outcome = rollback(store)
    assert outcome.found.startswith("promotion 2 was in the log but not published")
    assert (outcome.new, outcome.promotion.number, outcome.promotion.restores) == (True, 3, 1)
    assert champion_of(store.log()) == first
    assert read(store.uri, "serving/jukebox/3/model.onnx") == candidate_files("A")["model.onnx"]
    assert "serving/jukebox/2/model.onnx" not in paths(store.uri)


def test_a_first_promotion_that_was_never_published_has_nothing_before_it(store):
    candidate = release(store, "A")
    delete(store.uri, "serving/jukebox/1/model.onnx")
    refused(
        store, f"promotion 1 was in the log but not .* no earlier model .*`jukebox promote {candidate[:12]}`"
    )


def test_back_to_a_promotion_by_its_number_and_forward_again(store):
    ids = [release(store, name) for name in "ABC"]
    outcome = rollback(store, to=1)
    assert (outcome.new, outcome.promotion.number, outcome.promotion.restores) == (True, 4, 1)
    assert champion_of(store.log()) == ids[0]
    assert rollback(store, to=3).promotion.restores == 3
    assert champion_of(store.log()) == ids[2]
    # What precedes the restored one is what preceded it then.
    assert rollback(store).promotion.restores == 2


def test_back_to_a_rollback_is_back_to_what_it_restored(folder):
    first = release(folder, "A")
    release(folder, "B")
    rollback(folder)
    release(folder, "C")
    outcome = rollback(folder, to=3)
    assert (outcome.promotion.restores, outcome.promotion.candidate) == (1, first)


@pytest.mark.parametrize("to", [3, 1])
def test_back_to_what_is_in_force_changes_nothing_and_says_so(store, to):
    for name in "AB":
        release(store, name)
    served = rollback(store).served_at
    before = paths(store.uri)
    outcome = rollback(store, to=to)
    assert (outcome.new, outcome.unpublished, outcome.served_at) == (False, 0, served)
    assert paths(store.uri) == before


def test_back_to_what_is_in_force_publishes_it_where_that_was_interrupted(store):
    release(store, "A")
    delete(store.uri, "serving/jukebox/1/model.onnx")
    outcome = rollback(store, to=1)
    assert (outcome.new, outcome.unpublished) == (False, 1)
    assert "serving/jukebox/1/model.onnx" in paths(store.uri)


def test_an_interrupted_rollback_does_not_hinder_one_to_another_number(store):
    for name in "ABC":
        release(store, name)
    rollback(store)
    delete(store.uri, "serving/jukebox/4/model.onnx")
    outcome = rollback(store, to=1)
    assert (outcome.new, outcome.unpublished, outcome.promotion.restores) == (True, 4, 1)
    assert read(store.uri, "serving/jukebox/5/model.onnx") == candidate_files("A")["model.onnx"]


@pytest.mark.parametrize("to", [-1, 0, 3, 99])
def test_a_promotion_that_there_never_was_is_refused(folder, to):
    for name in "AB":
        release(folder, name)
    refused(
        folder,
        f"--to {to}: .* has no promotion {to}; `jukebox models --store {folder.uri}`",
        to=to,
        error=UsageError,
    )


def test_a_plan_tells_what_a_rollback_would_do_and_changes_nothing(store):
    first, second = release(store, "A"), release(store, "B")
    delete(store.uri, "serving/jukebox/2/model.onnx")
    before = {path: read(store.uri, path) for path in paths(store.uri)}
    plan = plan_rollback(store, why="slow")
    assert (plan.new, plan.unpublished) == (True, 2)
    assert (plan.present.candidate, plan.target.candidate, plan.entry.candidate) == (second, first, first)
    assert (plan.entry.number, plan.entry.restores, plan.entry.why) == (3, 1, "slow")
    assert {path: read(store.uri, path) for path in paths(store.uri)} == before


@pytest.mark.parametrize("lost", ["append", "publish"])
def test_a_rollback_that_dies_in_the_middle_is_mended_by_the_next(folder, monkeypatch, lost):
    """Log first, then serving: whichever write is lost, the same command again does what was asked."""
    for name in "AB":
        release(folder, name)

    def dies(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ModelStore, lost, dies)
        with pytest.raises(KeyboardInterrupt):
            rollback(folder)
    outcome = rollback(folder)
    assert (outcome.promotion.number, outcome.promotion.restores) == (3, 1)
    assert outcome.unpublished == (3 if lost == "publish" else 0)
    assert read(folder.uri, "serving/jukebox/3/model.onnx") == candidate_files("A")["model.onnx"]
    assert len(folder.log()) == 3

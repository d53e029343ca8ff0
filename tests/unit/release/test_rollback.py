"""Rollback: back to the model that the present one replaced, by a new entry of the log."""

import pytest
from candidates import candidate_files, delete, overwrite, paths, read
from promotions import refused, release

from ml.core.canonical import canonical_bytes, digest
from ml.core.errors import EvidenceError, UsageError
from ml.release.production import append
from ml.release.promotion import champion_of
from ml.release.rollback import plan_rollback, rollback


def serving(number):
    return f"serving/jukebox/{number}/model.onnx"


@pytest.fixture
def released(store):
    """Promote a model for each name; return the candidates."""
    return lambda names: [release(store, name) for name in names]


@pytest.fixture
def rejected(store):
    def rejected(message, **options):
        for work in (rollback, plan_rollback):
            refused(store, message, work, **options)

    return rejected


def test_the_earlier_model_is_in_production_again_under_a_new_number(store, released, monkeypatch):
    first, second = released("AB")
    before = store.log()
    monkeypatch.setenv("JUKEBOX_ACTOR", "tekton/run-1")
    outcome = rollback(store, why="slow in BR")
    entry = outcome.promotion
    told = {"who": "tekton/run-1", "why": "slow in BR", "at": entry.at, "previous": before[1].digest}
    place = {"number": 3, "action": "rollback", "champion": second, "restores": 1}
    assert entry == before[0].model_copy(update={**told, **place})
    assert (outcome.new, outcome.served_at) == (True, f"{store.uri}/{serving(3)}")
    assert (store.log(), champion_of(store.log())) == ([*before, entry], first)
    assert read(store.uri, serving(3)) == candidate_files("A")["model.onnx"]


STEPS = {"A B - C -": [1, 1], "A B C - - D -": [2, 1, 1], "A B C 1 3 - -": [1, 3, 2, 1], "A B - C 3": [1, 1]}


@pytest.mark.parametrize(("steps", "restored"), STEPS.items())
def test_rollbacks_go_back_one_by_one(store, rejected, steps, restored):
    """A letter is promoted, - goes back by one, and a number goes back to that entry."""
    rejected("no earlier model .* nothing was ever promoted")
    for step in steps.split():
        if step.isalpha():
            release(store, step)
        else:
            assert rollback(store, None if step == "-" else int(step)).new
    assert [entry.restores for entry in store.log() if entry.action == "rollback"] == restored
    rejected("no earlier model to go back to; .*`jukebox rollback --to N`")


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json"])
def test_only_the_promoted_bytes_come_back(store, released, rejected, name):
    first, _ = released("AB")
    overwrite(store.uri, f"candidates/{first}/{name}", b"changed")
    assert plan_rollback(store).new
    overwrite(store.uri, f"promoted/{first}/{name}", b"changed")
    rejected(f"{name} (is missing or was changed|cannot be used)")


def test_an_entry_that_names_another_model_stops_rollback(store, released, rejected):
    released("A")
    changed = {**store.log()[0].to_json(), "model_digest": digest(b"another")}
    overwrite(store.uri, "promotions/00000001.json", canonical_bytes(changed))
    rejected("promotion 1 does not name the model of candidate", to=1)


def test_a_rollback_that_was_interrupted_is_finished_not_repeated(store, released):
    released("ABC")
    served = rollback(store).served_at
    for to, new, number, restores in ((None, False, 4, 2), (1, True, 5, 1)):
        delete(store.uri, serving(4))
        outcome = rollback(store, to=to)
        assert (outcome.new, outcome.unpublished, outcome.promotion.number) == (new, 4, number)
        assert (outcome.promotion.restores, outcome.served_at == served) == (restores, not new)
        assert store.is_served(outcome.promotion)


def test_a_promotion_that_was_never_published_is_passed_over(store, released):
    """The plan and the rollback say so, and go back to what preceded it; the plan changes nothing."""
    first, second = released("AB")
    delete(store.uri, serving(2))
    before = paths(store.uri)
    plan = plan_rollback(store, why="slow")
    assert (plan.new, plan.unpublished, plan.target.candidate) == (True, 2, first)
    assert (plan.present.candidate, plan.entry.candidate, plan.entry.why) == (second, first, "slow")
    assert paths(store.uri) == before
    outcome = rollback(store)
    assert outcome.found.startswith("promotion 2 was in the log but not published")
    assert (outcome.promotion.number, serving(2) in paths(store.uri)) == (3, False)


def test_a_first_promotion_that_was_never_published_can_only_be_published(store, released, rejected):
    (candidate,) = released("A")
    rejected("no earlier model to go back to; `jukebox models [^,]*$")
    delete(store.uri, serving(1))
    publish = f"`jukebox promote {candidate[:12]}` publishes it"
    rejected(f"promotion 1 was in the log but not .* no earlier .*{publish}")
    outcome = rollback(store, to=1)
    assert (outcome.new, outcome.unpublished, store.is_served(outcome.promotion)) == (False, 1, True)


@pytest.mark.parametrize("to", [3, 1])
def test_back_to_what_is_in_force_changes_nothing_and_says_so(store, released, to):
    released("AB")
    served, before = rollback(store).served_at, paths(store.uri)
    outcome = rollback(store, to=to)
    assert (outcome.new, outcome.unpublished, outcome.served_at) == (False, 0, served)
    assert paths(store.uri) == before


@pytest.mark.parametrize("to", [0, 3])
def test_a_promotion_that_there_never_was_is_refused(store, released, rejected, to):
    released("AB")
    message = f"--to {to}: .* has no promotion {to}; `jukebox models --store {store.uri}`"
    rejected(message, to=to, error=UsageError)


def test_a_rollback_that_another_one_precedes_is_refused(store, released):
    released("AB")
    plan = plan_rollback(store)
    rollback(store)
    with pytest.raises(EvidenceError, match="go back to it by its number: `jukebox rollback --to N`"):
        append(store, plan.log, plan.entry, 0)
    assert len(store.log()) == 3

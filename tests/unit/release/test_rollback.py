"""Rollback: back to the model that the present one replaced, by a new entry of the log."""

import pytest
from candidates import candidate_files, delete, entry, overwrite, paths, put, read
from promotions import EVERYWHERE, release

from ml.core.canonical import canonical_bytes, digest
from ml.core.errors import EvidenceError, UsageError
from ml.release.production import append
from ml.release.promotion import champion_of, promote
from ml.release.rollback import plan_rollback, rollback

MODELS = {name: candidate_files(name)["model.onnx"] for name in "ABC"}


def serving(number):
    return f"serving/jukebox/{number}/model.onnx"


@pytest.fixture
def released(store):
    """Promote a model for each name; return the candidates."""
    return lambda names: [release(store, name) for name in names]


@pytest.fixture
def refused(store):
    def check(message, to=None, error=EvidenceError):
        before = paths(store.uri)
        for work in (rollback, plan_rollback):
            with pytest.raises(error, match=message):
                work(store, to)
        assert paths(store.uri) == before

    return check


def test_the_earlier_model_is_in_production_again_under_a_new_number(store, released, monkeypatch):
    first, second = released("AB")
    before = store.log()
    monkeypatch.setenv("JUKEBOX_ACTOR", "tekton/run-1")
    outcome = rollback(store, why="slow in BR")
    assert outcome.new
    who = {
        "who": "tekton/run-1",
        "why": "slow in BR",
        "at": outcome.promotion.at,
        "previous": before[1].digest,
    }
    place = {"number": 3, "action": "rollback", "champion": second, "restores": 1}
    assert outcome.promotion == before[0].model_copy(update={**who, **place})
    assert store.log() == [*before, outcome.promotion]
    assert champion_of(store.log()) == first
    assert outcome.served_at == f"{store.uri}/{serving(3)}"
    assert read(store.uri, serving(3)) == MODELS["A"]


STEPS = {"A B -": [1], "A B C - -": [2, 1], "A B - C -": [1, 1], "A B C - - D -": [2, 1, 1]}
STEPS |= {"A B C 1 3 - -": [1, 3, 2, 1], "A B - C 3": [1, 1]}


@pytest.mark.parametrize(("steps", "restored"), STEPS.items())
def test_rollbacks_go_back_one_by_one(store, refused, steps, restored):
    """A letter is promoted, - goes back by one, and a number goes back to that entry."""
    refused("no earlier model .* nothing was ever promoted")
    for step in steps.split():
        if step.isalpha():
            release(store, step)
        else:
            assert rollback(store, None if step == "-" else int(step)).new
    assert [entry.restores for entry in store.log() if entry.action == "rollback"] == restored
    assert champion_of(store.log()) == store.log()[restored[-1] - 1].candidate
    refused("no earlier model to go back to; .*`jukebox rollback --to N`")


def test_only_a_report_made_beside_the_present_champion_holds_after_a_rollback(store, released):
    first, second = released("AB")
    third = put(store, "C", champion=second, policy=EVERYWHERE)
    rollback(store)
    with pytest.raises(EvidenceError, match="was in production; now it is"):
        promote(store, third, EVERYWHERE)
    assert not promote(store, first, EVERYWHERE).new
    assert promote(store, second, EVERYWHERE).new


@pytest.mark.parametrize("name", ["model.keras", "model.onnx", "served.json", "manifest.json"])
def test_only_the_promoted_bytes_come_back(store, released, refused, name):
    first, _ = released("AB")
    overwrite(store.uri, f"candidates/{first}/{name}", b"changed")
    assert plan_rollback(store).new
    overwrite(store.uri, f"promoted/{first}/{name}", b"changed")
    refused(f"{name} (is missing or was changed|cannot be used)")


def test_an_entry_that_is_damaged_or_names_another_model_stops_rollback(store, released, refused):
    released("A")
    changed = {**entry(store.uri, 1), "model_digest": digest(b"another")}
    overwrite(store.uri, "promotions/00000001.json", canonical_bytes(changed))
    refused("promotion 1 does not name the model of candidate", to=1)
    overwrite(store.uri, "promotions/00000001.json", b"{}")
    refused("promotion 1 is damaged")


def test_a_rollback_that_was_interrupted_is_finished_not_repeated(store, released):
    first, *_ = released("ABC")
    served = rollback(store).served_at
    delete(store.uri, serving(4))
    again = rollback(store)
    assert (again.new, again.promotion.restores, again.served_at, again.unpublished) == (False, 2, served, 4)
    assert read(store.uri, serving(4)) == MODELS["B"]
    delete(store.uri, serving(4))
    outcome = rollback(store, to=1)
    assert (outcome.new, outcome.unpublished, outcome.promotion.number) == (True, 4, 5)
    assert (outcome.promotion.candidate, read(store.uri, serving(5))) == (first, MODELS["A"])


def test_a_promotion_that_was_never_published_is_passed_over(store, released):
    """The plan and the rollback say so, and go back to what preceded it; the plan changes nothing."""
    first, second = released("AB")
    delete(store.uri, serving(2))
    before = {path: read(store.uri, path) for path in paths(store.uri)}
    plan = plan_rollback(store, why="slow")
    assert (plan.new, plan.unpublished, plan.target.candidate) == (True, 2, first)
    assert (plan.present.candidate, plan.entry.candidate, plan.entry.why) == (second, first, "slow")
    assert {path: read(store.uri, path) for path in paths(store.uri)} == before
    outcome = rollback(store)
    assert outcome.found.startswith("promotion 2 was in the log but not published")
    assert (outcome.new, outcome.promotion.number, outcome.promotion.restores) == (True, 3, 1)
    assert (champion_of(store.log()), read(store.uri, serving(3))) == (first, MODELS["A"])
    assert serving(2) not in paths(store.uri)


def test_a_first_promotion_that_was_never_published_can_only_be_published(store, released, refused):
    (candidate,) = released("A")
    refused("no earlier model to go back to; `jukebox models [^,]*$")
    delete(store.uri, serving(1))
    refused(
        f"promotion 1 was in the log but not .* no earlier .*`jukebox promote {candidate[:12]}` publishes it"
    )
    outcome = rollback(store, to=1)
    assert (outcome.new, outcome.unpublished, read(store.uri, serving(1))) == (False, 1, MODELS["A"])


@pytest.mark.parametrize("to", [3, 1])
def test_back_to_what_is_in_force_changes_nothing_and_says_so(store, released, to):
    released("AB")
    served = rollback(store).served_at
    before = paths(store.uri)
    outcome = rollback(store, to=to)
    assert (outcome.new, outcome.unpublished, outcome.served_at) == (False, 0, served)
    assert paths(store.uri) == before


def test_a_promotion_that_there_never_was_is_refused(store, released, refused):
    released("AB")
    for to in (-1, 0, 3, 99):
        message = f"--to {to}: .* has no promotion {to}; `jukebox models --store {store.uri}`"
        refused(message, to=to, error=UsageError)


def test_a_rollback_that_another_one_precedes_is_refused(store, released):
    released("AB")
    plan = plan_rollback(store)
    rollback(store)
    with pytest.raises(EvidenceError, match="go back to it by its number: `jukebox rollback --to N`"):
        append(store, plan.log, plan.entry, 0)
    assert len(store.log()) == 3

"""Rollback: back to the model that the present one replaced, as a new entry of the log."""

import obstore
import pytest
from candidates import candidate_files, overwrite, paths, put, read
from reports import POLICY

from ml.errors import EvidenceError
from ml.gate.canonical import canonical_bytes, digest
from ml.objects import open_folder
from ml.release.promotion import champion_of, promote, rollback


def release(store, name):
    """Promote a model that was judged against the one in production."""
    candidate = put(store, name, champion=champion_of(store.log()))
    assert promote(store, candidate, POLICY).new
    return candidate


def refused(store, message=None):
    before = paths(store.uri)
    with pytest.raises(EvidenceError, match=message):
        rollback(store)
    assert paths(store.uri) == before


def test_the_earlier_model_is_in_production_again_under_a_new_number(store):
    first, second = release(store, "A"), release(store, "B")
    before = store.log()
    outcome = rollback(store)
    model = candidate_files("A")["model.onnx"]
    assert outcome.new
    assert outcome.promotion == before[0].model_copy(
        update={
            "number": 3,
            "action": "rollback",
            "champion": second,
            "restores": 1,
            "at": outcome.promotion.at,
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


def test_a_model_that_was_rolled_back_can_be_judged_again(folder):
    release(folder, "A")
    second = release(folder, "B")
    rollback(folder)
    with pytest.raises(EvidenceError):
        promote(folder, put(folder, "B", champion="", commit="2"), POLICY)
    assert not promote(folder, champion_of(folder.log()), POLICY).new
    # Its evidence still holds: it was judged against the model that is in production again.
    assert promote(folder, second, POLICY).new
    assert champion_of(folder.log()) == second


def test_a_model_that_was_judged_against_the_one_rolled_back_is_stale(folder):
    release(folder, "A")
    second = release(folder, "B")
    third = put(folder, "C", champion=second)
    rollback(folder)
    with pytest.raises(EvidenceError, match="was in production; now it is"):
        promote(folder, third, POLICY)


@pytest.mark.parametrize("name", candidate_files("A"))
def test_an_earlier_model_whose_bytes_changed_does_not_come_back(store, name):
    first = release(store, "A")
    release(store, "B")
    overwrite(store.uri, f"candidates/{first}/{name}", b"changed")
    refused(store, f"{name} is missing or was changed")


def test_a_damaged_log_stops_rollback(folder):
    for name in "AB":
        release(folder, name)
    overwrite(folder.uri, "promotions/00000001.json", b"{}")
    refused(folder, "promotion 1 is damaged")


def rewrite(store, number, **changes):
    """Change fields of an entry of the log, past the store."""
    entry = store.log()[number - 1].to_json()
    overwrite(store.uri, f"promotions/{number:08}.json", canonical_bytes({**entry, **changes}))


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
    refused(folder)


def test_an_entry_that_names_another_candidate_stops_rollback(folder):
    for name in "AB":
        release(folder, name)
    rewrite(folder, 1, candidate=put(folder, "never judged", broken="parity.served.test.violations"))
    refused(folder)


def test_a_rollback_that_was_interrupted_is_finished_not_repeated(store):
    """Between the log and the serving folder a process may die: the next one serves what the log says."""
    first = release(store, "A")
    for name in "BC":
        release(store, name)
    served = rollback(store).served_at
    obstore.delete(open_folder(store.uri), served.removeprefix(f"{store.uri}/"))
    again = rollback(store)
    assert (again.new, again.promotion.restores, again.served_at) == (False, 2, served)
    assert len(store.log()) == 4
    assert rollback(store).promotion.candidate == first

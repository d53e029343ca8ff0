"""The promotion log: entries are appended, never changed, and damage is never taken for an end."""

import pytest
from candidates import overwrite, read
from reports import removed

from ml.errors import EvidenceError
from ml.gate.canonical import canonical_bytes, digest
from ml.release.store import Promotion


def promotion(number=1, **changes):
    values = {
        "number": number,
        "action": "promote",
        "candidate": "c" * 64,
        "model_name": "jukebox",
        "synthetic": True,
        "model_digest": digest(b"model"),
        "evidence_digest": digest(b"evidence"),
        "policy_digest": digest(b"policy"),
        "champion": "",
        "replaces": number - 1,
        "restores": 0,
        "at": "2026-01-01T00:00:00Z",
    }
    return Promotion(**{**values, **changes})


def test_an_entry_of_the_log_is_never_written_over(store):
    assert store.append(promotion(1))
    assert not store.append(promotion(1, candidate="d" * 64))
    assert store.append(promotion(2))
    assert store.log() == [promotion(1), promotion(2)]


def test_an_empty_store_has_no_log(store):
    assert store.log() == []


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{}",
        b"not json",
        canonical_bytes(promotion(2).to_json())[:-9],
        canonical_bytes({**promotion(2).to_json(), "colour": "red"}),
        canonical_bytes({**promotion(2).to_json(), "schema": "jukebox.promotion/v4"}),
        canonical_bytes({**promotion(2).to_json(), "number": -2}),
        canonical_bytes({**promotion(2).to_json(), "model_digest": "sha256:none"}),
    ],
    ids=lambda damage: repr(damage[-16:]),
)
def test_a_damaged_entry_of_the_log_is_refused_by_number(store, damage):
    for number in (1, 2, 3):
        store.append(promotion(number))
    overwrite(store.uri, "promotions/00000002.json", damage)
    with pytest.raises(EvidenceError, match="promotion 2 is damaged"):
        store.log()


def test_an_entry_under_another_number_is_refused(store):
    store.append(promotion(1))
    overwrite(store.uri, "promotions/00000002.json", read(store.uri, "promotions/00000001.json"))
    with pytest.raises(EvidenceError, match="promotion 2 does not fit into the log"):
        store.log()


@pytest.mark.parametrize("numbers", [(2,), (1, 3), (1, 2, 4)])
def test_a_gap_in_the_log_is_refused(store, numbers):
    for number in numbers:
        store.append(promotion(number))
    with pytest.raises(EvidenceError, match="gap"):
        store.log()


def test_a_stray_file_in_the_log_is_refused(store):
    overwrite(store.uri, "promotions/notes.json", b"{}")
    with pytest.raises(EvidenceError):
        store.log()


def test_entries_of_the_first_version_are_read_as_they_are(store):
    first = removed({**promotion(1).to_json(), "schema": "jukebox.promotion/v1"}, ("waived",))
    overwrite(store.uri, "promotions/00000001.json", canonical_bytes(first))
    store.append(promotion(2, waived=("budget.model_bytes",)))
    assert [entry.waived for entry in store.log()] == [(), ("budget.model_bytes",)]
    assert read(store.uri, "promotions/00000001.json") == canonical_bytes(first)


def test_entries_of_the_second_version_say_nothing_of_commit_and_person(store):
    told = {"commit": "c0ffee", "dirty": True, "who": "ada@laptop", "why": "better"}
    second = removed(
        {**promotion(1).to_json(), "schema": "jukebox.promotion/v2"}, *((name,) for name in told)
    )
    overwrite(store.uri, "promotions/00000001.json", canonical_bytes(second))
    store.append(promotion(2, **told))
    old, new = store.log()
    assert (old.commit, old.dirty, old.who, old.why) == ("", False, "", "")
    assert (new.commit, new.dirty, new.who, new.why) == tuple(told.values())

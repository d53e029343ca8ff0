"""The promotion log: entries are appended and chained, and damage is never taken for the end."""

import pytest
from candidates import delete, overwrite, read
from reports import removed

from ml.core.canonical import canonical_bytes, digest
from ml.core.errors import EvidenceError
from ml.release import log as log_module
from ml.release.log import Promotion

THIRD = ("commit", "dirty", "who", "why")
LACKING = {1: ("waived", *THIRD), 2: THIRD, 3: ()}
"""Fields that entries of earlier versions lack, beside those of the fourth."""


def promotion(count=1, before=None, **changes):
    digests = {f"{what}_digest": digest(what.encode()) for what in ("model", "evidence", "policy")}
    about = {"candidate": "c" * 64, "model_name": "jukebox", "synthetic": True, "champion": ""}
    place = {"number": count, "replaces": count - 1, "restores": 0, "at": "2026-01-01T00:00:00Z"}
    basis = {"action": "promote", "kind": "self-checked", "previous": before.digest if before else ""}
    return Promotion(**{**digests, **about, **place, **basis, **changes})


def old(version, number=1, **changes):
    """Make an entry as an earlier version wrote it."""
    value = promotion(number, **{"kind": "", "previous": "", **changes}).to_json()
    value = removed(value, *((name,) for name in ("previous", "attestation", "kind", *LACKING[version])))
    return canonical_bytes({**value, "schema": f"jukebox.promotion/v{version}"})


def chain(store, count):
    entries = []
    for number in range(1, count + 1):
        entries.append(promotion(number, entries[-1] if entries else None))
        assert store.append(entries[-1])
    return entries


def path(number):
    return f"promotions/{number:08}.json"


def refused(store, message):
    with pytest.raises(EvidenceError, match=message):
        store.log()


def test_an_entry_of_the_log_is_never_overwritten(store):
    assert store.log() == []
    entries = chain(store, 2)
    assert not store.append(promotion(1, candidate="d" * 64))
    assert store.log() == entries


TWO = promotion(2, promotion(1))


CHANGES = [
    {"colour": "red"},
    {"schema": "jukebox.promotion/v5"},
    {"number": -2},
    {"model_digest": "sha256:none"},
]
DAMAGE = [b"", b"{}", b"not json", TWO.to_bytes()[:-9], TWO.to_bytes() + b"\n"]
DAMAGE += [canonical_bytes({**TWO.to_json(), **change}) for change in CHANGES]


@pytest.mark.parametrize(
    "damage", [*DAMAGE, canonical_bytes(removed(TWO.to_json(), ("why",)))], ids=range(10)
)
def test_a_damaged_entry_of_the_log_is_refused_by_number(store, damage):
    chain(store, 3)
    overwrite(store.uri, path(2), damage)
    refused(store, r"promotion 2 is damaged.*restore the entry from a backup")


@pytest.mark.parametrize("number", [1, 2])
def test_a_changed_entry_breaks_the_chain_and_its_number_is_told(store, number):
    changed = chain(store, 3)[number - 1].model_copy(update={"who": "another"})
    overwrite(store.uri, path(number), changed.to_bytes())
    refused(
        store, f"promotion {number} has another digest than promotion {number + 1} says.*restore the entry"
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": ""},
        {"kind": "attested"},
        {"attestation": digest(b"envelope")},
        {"previous": ""},
        {"restores": 1},
        {"replaces": 2},
        {"replaces": 9},
        {"action": "rollback"},
        {"action": "rollback", "restores": 2},
        {"number": 3},
    ],
    ids=str,
)
def test_an_entry_that_contradicts_itself_is_refused(store, wrong):
    (first,) = chain(store, 1)
    overwrite(store.uri, path(2), promotion(2, first, **wrong).to_bytes())
    refused(store, "promotion 2 does not fit into the log")


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_gap_in_the_log_is_refused_and_the_missing_number_told(store, lost):
    chain(store, 4)
    delete(store.uri, path(lost))
    refused(store, f"promotion {lost} is missing in the promotion log; restore")


def test_a_stray_file_or_too_many_entries_are_refused(store, monkeypatch):
    overwrite(store.uri, "promotions/notes.json", b"{}")
    refused(store, r"notes\.json is not a promotion; remove it")
    delete(store.uri, "promotions/notes.json")
    chain(store, 2)
    monkeypatch.setattr(log_module, "MOST_ENTRIES", 1)
    refused(store, "there are more than 1 objects; remove it")


@pytest.mark.parametrize("version", [1, 2, 3])
def test_entries_of_earlier_versions_are_read_as_they_are_and_chained_to(store, version):
    overwrite(store.uri, path(1), old(version))
    (first,) = store.log()
    assert first.to_bytes() == old(version) == read(store.uri, path(1))
    assert (first.kind, first.promoted_as, first.waived, first.who) == ("", "self-checked", (), "")
    assert store.append(promotion(2, first))
    assert store.log()[1].previous == digest(old(version))
    overwrite(store.uri, path(1), old(version, candidate="d" * 64))
    refused(store, "promotion 1 has another digest than promotion 2 says")


def test_an_entry_of_an_older_jukebox_after_one_of_this_is_refused(store):
    chain(store, 1)
    overwrite(store.uri, path(2), old(3, 2))
    refused(store, r"promotion 2 does not fit.*an older jukebox wrote")

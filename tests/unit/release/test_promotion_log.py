"""The promotion log: entries are appended and chained, and damage is never taken for an end."""

import pytest
from candidates import delete, overwrite, read
from reports import removed

from ml.core.canonical import canonical_bytes, digest
from ml.core.errors import EvidenceError
from ml.release.log import Promotion

LATER = ("previous", "attestation", "kind")


def promotion(number=1, before=None, **changes):
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
        "kind": "self-checked",
        "previous": before.digest if before else "",
    }
    return Promotion(**{**values, **changes})


def old(version, number=1, **changes):
    """Make an entry as an earlier version wrote it."""
    lacking = {1: ("waived", "commit", "dirty", "who", "why"), 2: ("commit", "dirty", "who", "why"), 3: ()}
    value = promotion(number, **{"kind": "", "previous": "", **changes}).to_json()
    value = removed(value, *((name,) for name in (*LATER, *lacking[version])))
    return canonical_bytes({**value, "schema": f"jukebox.promotion/v{version}"})


def chain(store, count):
    """Append so many entries."""
    entries = []
    for number in range(1, count + 1):
        entries.append(promotion(number, entries[-1] if entries else None))
        assert store.append(entries[-1])
    return entries


def path(number):
    return f"promotions/{number:08}.json"


def test_an_entry_of_the_log_is_never_written_over(store):
    entries = chain(store, 2)
    assert not store.append(promotion(1, candidate="d" * 64))
    assert store.log() == entries


def test_an_empty_store_has_no_log(store):
    assert store.log() == []


TWO = promotion(2, promotion(1))


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{}",
        b"not json",
        TWO.to_bytes()[:-9],
        TWO.to_bytes() + b"\n",
        canonical_bytes({**TWO.to_json(), "colour": "red"}),
        canonical_bytes({**TWO.to_json(), "schema": "jukebox.promotion/v5"}),
        canonical_bytes({**TWO.to_json(), "number": -2}),
        canonical_bytes({**TWO.to_json(), "model_digest": "sha256:none"}),
        canonical_bytes(removed(TWO.to_json(), ("why",))),
    ],
    ids=lambda damage: repr(damage[-16:]),
)
def test_a_damaged_entry_of_the_log_is_refused_by_number(store, damage):
    chain(store, 3)
    overwrite(store.uri, path(2), damage)
    with pytest.raises(EvidenceError, match=r"promotion 2 is damaged.*restore the entry from a backup"):
        store.log()


@pytest.mark.parametrize("number", [1, 2])
def test_a_changed_entry_breaks_the_chain_and_its_number_is_told(store, number):
    entries = chain(store, 3)
    changed = entries[number - 1].model_copy(update={"who": "another"})
    overwrite(store.uri, path(number), changed.to_bytes())
    message = f"promotion {number} has another digest than promotion {number + 1} says.*restore the entry"
    with pytest.raises(EvidenceError, match=message):
        store.log()


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": ""},
        {"kind": "attested"},
        {"attestation": digest(b"envelope")},
        {"previous": ""},
        {"restores": 1},
        {"replaces": 2},
        {"action": "rollback"},
    ],
    ids=str,
)
def test_an_entry_that_contradicts_itself_is_refused(store, wrong):
    (first,) = chain(store, 1)
    store.append(promotion(2, first, **wrong))
    with pytest.raises(EvidenceError, match="promotion 2 does not fit into the log"):
        store.log()


def test_an_entry_under_another_number_is_refused(store):
    chain(store, 1)
    overwrite(store.uri, path(2), read(store.uri, path(1)))
    with pytest.raises(EvidenceError, match="promotion 2 does not fit into the log"):
        store.log()


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_gap_in_the_log_is_refused_and_the_missing_number_told(store, lost):
    chain(store, 4)
    delete(store.uri, path(lost))
    with pytest.raises(EvidenceError, match=f"promotion {lost} is missing in the promotion log; restore"):
        store.log()


def test_a_stray_file_in_the_log_is_refused(store):
    overwrite(store.uri, "promotions/notes.json", b"{}")
    with pytest.raises(EvidenceError, match=r"notes\.json is not a promotion; remove it"):
        store.log()


@pytest.mark.parametrize("version", [1, 2, 3])
def test_entries_of_earlier_versions_are_read_as_they_are_and_chained_to(store, version):
    overwrite(store.uri, path(1), old(version))
    (first,) = store.log()
    assert first.to_bytes() == old(version)
    assert (first.kind, first.promoted_as, first.waived, first.who) == ("", "self-checked", (), "")
    assert store.append(promotion(2, first))
    assert store.log()[1].previous == digest(old(version))
    overwrite(store.uri, path(1), old(version, candidate="d" * 64))
    with pytest.raises(EvidenceError, match="promotion 1 has another digest than promotion 2 says"):
        store.log()


def test_an_entry_of_an_older_jukebox_after_one_of_this_is_refused(store):
    chain(store, 1)
    overwrite(store.uri, path(2), old(3, 2))
    with pytest.raises(EvidenceError, match=r"promotion 2 does not fit.*an older jukebox wrote"):
        store.log()

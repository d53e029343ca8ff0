"""The promotion log: entries are appended and chained, and damage is never taken for the end."""

import pytest
from candidates import delete, overwrite, read
from old_stores import old_entry

from ml.core.canonical import canonical_bytes, digest
from ml.core.errors import EvidenceError
from ml.release import log as log_module
from ml.release.log import Promotion, path_of

C, OTHER, WHO = "c" * 64, digest(b"other"), {"who": "another"}


def promotion(count=1, before=None, **changes):
    about = {"candidate": C, "model_name": "jukebox", "synthetic": True, "champion": "", "at": "now"}
    about |= {f"{what}_digest": digest(what.encode()) for what in ("model", "evidence", "policy")}
    place = {"number": count, "replaces": count - 1, "restores": 0, "kind": "self-checked"}
    place |= {"action": "promote", "previous": before.digest if before else ""}
    return Promotion(**{**about, **place, **changes})


ONE = promotion()
TWO = promotion(2, ONE)
THREE = promotion(3, TWO)


@pytest.fixture
def chain(store):
    """A store of three promotions."""
    assert all(store.append(entry) for entry in (ONE, TWO, THREE))
    return store


def _changed(**changes):
    return canonical_bytes({**TWO.to_json(), **changes})


STRANGE = [{"kind": ""}, {"kind": "attested"}, {"attestation": OTHER}, {"previous": ""}, {"restores": 1}]
STRANGE += [{"replaces": 2}, {"action": "rollback"}, {"action": "rollback", "restores": 2}, {"number": 3}]
DAMAGED = "promotion 2 is damaged.*restore the entry from a backup"
DIFFERS = "promotion {} has another digest than promotion {} says.*restore the entry"
UNFIT = "promotion 2 does not fit into the log"


@pytest.mark.parametrize(
    ("path", "data", "message"),
    [
        *((path_of(2), data, DAMAGED) for data in (b"", TWO.to_bytes() + b"\n", _changed(colour="red"))),
        *((path_of(2), _changed(**changes), UNFIT) for changes in STRANGE),
        (path_of(1), ONE.model_copy(update=WHO).to_bytes(), DIFFERS.format(1, 2)),
        (path_of(2), TWO.model_copy(update=WHO).to_bytes(), DIFFERS.format(2, 3)),
        *((path_of(lost), None, f"promotion {lost} is missing .*log; restore") for lost in (1, 2)),
        ("promotions/notes.json", b"{}", r"notes\.json is no promotion; remove it"),
    ],
    ids=range(17),
)
def test_a_log_with_a_changed_lost_or_strange_entry_is_refused_and_it_is_named(chain, path, data, message):
    if data is None:
        delete(chain.uri, path)
    else:
        overwrite(chain.uri, path, data)
    with pytest.raises(EvidenceError, match=message):
        chain.log()


def test_an_entry_of_the_log_is_never_overwritten_and_so_many_are_read(chain, monkeypatch):
    assert not chain.append(promotion(1, candidate="d" * 64))
    monkeypatch.setattr(log_module, "MOST_ENTRIES", 3)
    assert chain.log() == [ONE, TWO, THREE]
    monkeypatch.setattr(log_module, "MOST_ENTRIES", 2)
    with pytest.raises(EvidenceError, match="there are more than 2 objects; remove it"):
        chain.log()


@pytest.mark.parametrize("version", [1, 2, 3])
def test_entries_of_earlier_versions_are_read_as_they_are_and_chained_to(store, version):
    data = old_entry(store.uri, 1, C, version=version)
    (first,) = store.log()
    assert first.to_bytes() == data == read(store.uri, path_of(1))
    assert (first.kind, first.promoted_as, first.waived) == ("", "self-checked", ())
    assert store.append(promotion(2, first))
    assert store.log()[1].previous == digest(data)
    old_entry(store.uri, 1, "d" * 64, version=version)
    with pytest.raises(EvidenceError, match=DIFFERS.format(1, 2)):
        store.log()
    overwrite(store.uri, path_of(1), ONE.to_bytes())
    old_entry(store.uri, 2, C, version=version)
    with pytest.raises(EvidenceError, match=f"{UNFIT}: an older jukebox wrote it after promotion 1"):
        store.log()

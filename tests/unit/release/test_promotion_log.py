"""The promotion log: entries are appended and chained, and damage is never taken for the end."""

import pytest
from candidates import delete, overwrite, read
from reports import removed

from ml.core.canonical import canonical_bytes, digest
from ml.core.errors import EvidenceError
from ml.release import log as log_module
from ml.release.log import Promotion, path_of

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


ONE = promotion()
TWO = promotion(2, ONE)
THREE = promotion(3, TWO)


@pytest.fixture
def chain(store):
    """A store of three promotions."""
    assert store.log() == []
    assert all(store.append(entry) for entry in (ONE, TWO, THREE))
    return store


def _changed(**changes):
    return canonical_bytes({**TWO.to_json(), **changes})


WHO, OTHER = {"who": "another"}, digest(b"other")
DAMAGED = [b"", b"{}", b"not json", TWO.to_bytes()[:-9], TWO.to_bytes() + b"\n", _changed(colour="red")]
DAMAGED += [
    _changed(schema="jukebox.promotion/v5"),
    _changed(number=-2),
    _changed(model_digest="sha256:none"),
]
DAMAGED += [canonical_bytes(removed(TWO.to_json(), ("why",)))]
STRANGE = [{"kind": ""}, {"kind": "attested"}, {"attestation": OTHER}, {"previous": ""}, {"restores": 1}]
STRANGE += [{"replaces": 2}, {"replaces": 9}, {"action": "rollback"}, {"action": "rollback", "restores": 2}]
DIFFERS = "promotion {} has another digest than promotion {} says.*restore the entry"
UNFIT = "promotion {} does not fit into the log"
REFUSED = [
    *((2, data, "promotion 2 is damaged.*restore the entry from a backup") for data in DAMAGED),
    *((2, _changed(**changes), UNFIT.format(2)) for changes in STRANGE),
    (2, THREE.to_bytes(), UNFIT.format(2)),
    (2, old(3, 2), rf"{UNFIT.format(2)}: an older jukebox wrote it after promotion 1"),
    (1, ONE.model_copy(update=WHO).to_bytes(), DIFFERS.format(1, 2)),
    (2, TWO.model_copy(update=WHO).to_bytes(), DIFFERS.format(2, 3)),
    *((lost, None, f"promotion {lost} is missing in the promotion log; restore") for lost in (1, 2)),
    ("notes", b"{}", r"notes\.json is no promotion; remove it"),
]


@pytest.mark.parametrize(("number", "data", "message"), REFUSED, ids=range(len(REFUSED)))
def test_a_log_with_a_changed_lost_or_strange_entry_is_refused_and_it_is_named(chain, number, data, message):
    path = path_of(number) if isinstance(number, int) else f"promotions/{number}.json"
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
    overwrite(store.uri, path_of(1), old(version))
    (first,) = store.log()
    assert first.to_bytes() == old(version) == read(store.uri, path_of(1))
    assert (first.kind, first.promoted_as, first.waived, first.who) == ("", "self-checked", (), "")
    assert store.append(promotion(2, first))
    assert store.log()[1].previous == digest(old(version))
    overwrite(store.uri, path_of(1), old(version, candidate="d" * 64))
    with pytest.raises(EvidenceError, match=DIFFERS.format(1, 2)):
        store.log()

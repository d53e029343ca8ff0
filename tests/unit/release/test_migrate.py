"""An existing store is migrated: nothing is lost, however often that is interrupted."""

import pytest
from candidates import candidate_files, delete, overwrite, paths, put, read
from old_stores import old_candidate, old_entry, old_store
from promotions import EVERYWHERE, release_attested
from reports import POLICY

from ml.core.canonical import canonical_bytes, digest
from ml.core.errors import EvidenceError
from ml.gate.candidate import CANDIDATE_FILES
from ml.release import promoted
from ml.release.migrate import migrate
from ml.release.objects import Objects
from ml.release.promotion import promote
from ml.release.rollback import plan_rollback, rollback


def contents(store, below=""):
    return {path: read(store.uri, path) for path in paths(store.uri) if path.startswith(below)}


def states(store, **options):
    return [one.state for one in migrate(store, **options)]


def test_every_model_of_the_log_is_copied_and_nothing_else_is_touched(store):
    first, second = old_store(store.uri)
    unused = old_candidate(store.uri, "C", second)
    before = contents(store)
    assert states(store, dry_run=True) == ["to copy", "to copy"]
    assert contents(store) == before
    shown = [one.to_json() for one in migrate(store)]
    assert shown[0] == {"candidate": first, "numbers": [1], "state": "copied", "why": ""}
    assert (shown[1]["candidate"], shown[1]["numbers"], len(shown)) == (second, [2], 2)
    copies = {
        path.replace("candidates/", "promoted/", 1): data
        for path, data in before.items()
        if path.startswith("candidates/") and unused not in path
    }
    assert contents(store) == before | copies
    assert states(store) == ["there", "there"]
    assert contents(store) == before | copies


def test_before_it_rollback_and_promotion_say_which_command_to_run(folder):
    _, second = old_store(folder.uri)
    candidate = put(folder, "C", champion=second)
    before = paths(folder.uri)
    command = f"`jukebox store migrate --store {folder.uri}` copies"
    for work in (rollback, plan_rollback):
        with pytest.raises(EvidenceError, match=command):
            work(folder)
    for name in (candidate, second):
        with pytest.raises(EvidenceError, match=f"made by an older jukebox.*{command}"):
            promote(folder, name, POLICY)
    assert paths(folder.uri) == before


def test_after_it_old_entries_can_be_rolled_back_to_and_new_ones_follow(store, keys):
    first, second = old_store(store.uri)
    old = contents(store, "promotions/")
    migrate(store)
    entry = rollback(store).promotion
    assert (entry.number, entry.restores, entry.candidate) == (3, 1, first)
    previous = digest(old["promotions/00000002.json"])
    assert (entry.kind, entry.previous, entry.commit) == ("self-checked", previous, "c0ffee")
    assert read(store.uri, "serving/jukebox/3/model.onnx") == candidate_files("A")["model.onnx"]
    assert release_attested(store, "C", keys).promotion.champion == first
    assert rollback(store, to=2).promotion.candidate == second
    assert not promote(store, second, EVERYWHERE).new
    assert contents(store, "promotions/").items() >= old.items()


def test_a_model_that_is_lost_hinders_no_other(store):
    first, second = old_store(store.uri)
    delete(store.uri, f"candidates/{first}/model.onnx")
    lost, copied = migrate(store)
    assert (lost.candidate, lost.state, copied.state) == (first, "lost", "copied")
    assert "model.onnx is missing or was changed" in lost.why
    assert not contents(store, f"promoted/{first}")
    with pytest.raises(EvidenceError, match=f"model {first} is not in"):
        rollback(store)
    assert not promote(store, second, EVERYWHERE).new


NAMES = ("../x", "a/b", ".a", "x" * 65)


def _manifest(*names, size=0):
    files = {name: {"digest": digest(b""), "size": size} for name in names}
    return canonical_bytes({"schema": "jukebox.candidate/v1", "files": files})


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        *(
            (_manifest("model.onnx", name), "its files cannot be stored")
            for name in ("../x", "a/b", ".a", "x" * 65)
        ),
        (_manifest("model.onnx", *(f"f{number}" for number in range(32))), "its files cannot be stored"),
        (_manifest(*CANDIDATE_FILES[:1]), "it has no model.onnx"),
        (_manifest("model.onnx", size=-1), "size: "),
    ],
    ids=range(7),
)
def test_a_manifest_that_cannot_be_used_is_not_copied(folder, manifest, why):
    candidate = digest(manifest).removeprefix("sha256:")
    overwrite(folder.uri, f"candidates/{candidate}/manifest.json", manifest)
    old_entry(folder.uri, 1, candidate, "A")
    (found,) = migrate(folder)
    assert (found.state, why in found.why) == ("lost", True)


def test_another_model_than_that_of_the_log_and_a_damaged_copy_are_told(folder):
    candidate = old_candidate(folder.uri, "A")
    old_entry(folder.uri, 1, candidate, "B")
    (found,) = migrate(folder)
    assert (found.state, found.why) == ("lost", "its model has another digest than the log says")
    old_entry(folder.uri, 1, candidate, "A")
    assert states(folder) == ["copied"]
    overwrite(folder.uri, f"promoted/{candidate}/model.onnx", b"changed")
    assert states(folder) == ["lost"]


@pytest.mark.parametrize("writes", [0, 10, 13])
def test_interrupted_and_repeated_it_ends_the_same(folder, monkeypatch, writes):
    """There are eleven files of each of two models."""
    old_store(folder.uri)
    put_same, left = Objects.put_same, iter(range(writes))

    def dying(self, path, data):
        if next(left, None) is None:
            raise KeyboardInterrupt
        put_same(self, path, data)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(promoted.Objects, "put_same", dying)
        migrate(folder)
    assert len(contents(folder, "promoted/")) == writes
    assert states(folder) == ["copied" if writes < 11 else "there", "copied"]
    assert len(contents(folder, "promoted/")) == 22
    assert rollback(folder).promotion.restores == 1

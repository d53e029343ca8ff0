"""An existing store is migrated: nothing is lost, however often that is interrupted."""

import pytest
from candidates import candidate_files, delete, overwrite, paths, put, read
from old_stores import old_candidate, old_entry, old_store
from promotions import EVERYWHERE, release_attested
from reports import POLICY

from ml.core.canonical import canonical_bytes, digest
from ml.core.errors import EvidenceError
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
    expected = ((first, 1), (second, 2))
    assert shown == [{"candidate": one, "numbers": [n], "state": "copied", "why": ""} for one, n in expected]
    used = {path for path in before if path.startswith("candidates/") and unused not in path}
    after = before | {path.replace("candidates/", "promoted/", 1): before[path] for path in used}
    assert contents(store) == after
    assert states(store) == ["there", "there"]
    assert contents(store) == after


def test_before_it_rollback_and_promotion_say_which_command_to_run(folder):
    _, second = old_store(folder.uri)
    candidate = put(folder, "C", champion=second)
    before, command = paths(folder.uri), f"`jukebox store migrate --store {folder.uri}` copies"
    for work in (rollback, plan_rollback):
        with pytest.raises(EvidenceError, match=command):
            work(folder)
    for name in (candidate, second):
        with pytest.raises(EvidenceError, match=f"made by an older jukebox.*{command}"):
            promote(folder, name, POLICY)
    assert paths(folder.uri) == before


def test_after_it_old_entries_can_be_rolled_back_to_and_new_ones_follow(store, keys, monkeypatch):
    checked = []
    monkeypatch.setattr(store.objects, "require_conditional_create", lambda: checked.append(len(store.log())))
    first, second = old_store(store.uri)
    old = contents(store, "promotions/")
    migrate(store)
    entry = rollback(store).promotion
    assert (entry.number, entry.restores, entry.candidate, entry.commit) == (3, 1, first, "c0ffee")
    assert (entry.kind, entry.previous) == ("self-checked", digest(old["promotions/00000002.json"]))
    assert read(store.uri, "serving/jukebox/3/model.onnx") == candidate_files("A")["model.onnx"]
    assert release_attested(store, "C", keys).promotion.champion == first
    assert rollback(store, to=2).promotion.candidate == second
    assert not promote(store, second, EVERYWHERE).new
    assert contents(store, "promotions/").items() >= old.items()
    assert checked == [2]


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


UNSTORABLE = [("../x",), ("a/b",), (".hidden",), ("x" * 65,), tuple(f"f{number}" for number in range(32))]
NAMES = [*((("model.onnx", *names), 0, "its files cannot be stored") for names in UNSTORABLE)]
NAMES += [
    (("model.onnx", *UNSTORABLE[-1][1:]), 0, "f1 is missing"),
    (("model.keras",), 0, "it has no model.onnx"),
    (("model.onnx",), -1, "size: "),
]


@pytest.mark.parametrize(("names", "size", "why"), NAMES, ids=range(8))
def test_a_manifest_that_cannot_be_used_is_not_copied(folder, names, size, why):
    files = {name: {"digest": digest(b""), "size": size} for name in names}
    manifest = canonical_bytes({"schema": "jukebox.candidate/v1", "files": files})
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

    def interrupted(self, path, data):
        if next(left, None) is None:
            raise KeyboardInterrupt
        put_same(self, path, data)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Objects, "put_same", interrupted)
        migrate(folder)
    assert len(contents(folder, "promoted/")) == writes
    assert states(folder) == ["copied" if writes < 11 else "there", "copied"]
    assert len(contents(folder, "promoted/")) == 22
    assert rollback(folder).promotion.restores == 1

"""An existing store is migrated: nothing is lost, however often that is interrupted."""

import pytest
from candidates import delete, overwrite, paths, put, read
from old_stores import old_candidate, old_entry, old_store
from promotions import refused, release
from reports import POLICY

from ml.core.canonical import canonical_bytes, digest
from ml.release.migrate import migrate
from ml.release.objects import Objects
from ml.release.promotion import promote
from ml.release.rollback import plan_rollback, rollback


def contents(store):
    return {path: read(store.uri, path) for path in paths(store.uri)}


def states(store, **options):
    return [one.state for one in migrate(store, **options)]


def test_every_model_of_the_log_is_copied_and_nothing_else_is_touched(store):
    first, second = old_store(store.uri)
    unused = old_candidate(store.uri, "C", second)
    before = contents(store)
    assert states(store, dry_run=True) == ["to copy", "to copy"]
    assert contents(store) == before
    copied = migrate(store)[1].to_json()
    assert copied == {"candidate": second, "numbers": [2], "state": "copied", "why": ""}
    used = {path for path in before if path.startswith("candidates/") and unused not in path}
    copies = {path.replace("candidates/", "promoted/", 1): before[path] for path in used}
    assert contents(store) == before | copies
    overwrite(store.uri, f"promoted/{first}/model.onnx", b"changed")
    assert states(store) == ["lost", "there"]


def test_before_it_rollback_and_promotion_say_which_command_to_run(store):
    _, second = old_store(store.uri)
    command = f"`jukebox store migrate --store {store.uri}` copies"
    refused(store, command, plan_rollback)
    for candidate in (put(store, "C", champion=second), second):
        refused(store, f"made by an older jukebox.*{command}", promote, candidate, POLICY)


def test_after_it_old_entries_can_be_rolled_back_to_and_new_ones_follow(store, monkeypatch):
    checked = []
    monkeypatch.setattr(store.objects, "require_conditional_create", lambda: checked.append(len(store.log())))
    first, second = old_store(store.uri)
    last = read(store.uri, "promotions/00000002.json")
    migrate(store)
    entry = rollback(store).promotion
    assert (entry.number, entry.restores, entry.candidate, entry.commit) == (3, 1, first, "c0ffee")
    assert (entry.kind, entry.previous) == ("self-checked", digest(last))
    release(store, "C")
    assert rollback(store, to=2).promotion.candidate == second
    assert not promote(store, second, POLICY).new
    assert checked == [2]


def test_a_model_that_is_lost_hinders_no_other(store):
    first, _ = old_store(store.uri)
    delete(store.uri, f"candidates/{first}/model.onnx")
    lost, copied = migrate(store)
    assert (lost.candidate, lost.state, copied.state) == (first, "lost", "copied")
    assert "model.onnx is missing or was changed" in lost.why
    refused(store, f"model {first} is not in", rollback)


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["model.onnx", "../x"], "its files cannot be stored"),
        (["model.onnx", *(f"f{number}" for number in range(32))], "its files cannot be stored"),
        (["model.keras"], "it has no model.onnx"),
        (["model.onnx"], "its model has another digest than the log says"),
    ],
    ids=["name", "many", "no model", "another model"],
)
def test_a_manifest_that_cannot_be_used_is_not_copied(store, names, why):
    files = {name: {"digest": digest(b""), "size": 0} for name in names}
    manifest = canonical_bytes({"schema": "jukebox.candidate/v1", "files": files})
    candidate = digest(manifest).removeprefix("sha256:")
    overwrite(store.uri, f"candidates/{candidate}/manifest.json", manifest)
    overwrite(store.uri, f"candidates/{candidate}/model.onnx", b"")
    old_entry(store.uri, 1, candidate)
    (one,) = migrate(store)
    assert (one.state, why in one.why) == ("lost", True)


@pytest.mark.parametrize("writes", [0, 10, 13])
def test_interrupted_and_repeated_it_ends_the_same(store, monkeypatch, writes):
    """There are eleven files of each of two models."""
    old_store(store.uri)
    put_same, left = Objects.put_same, iter(range(writes))

    def interrupted(self, path, data):
        if next(left, None) is None:
            raise KeyboardInterrupt
        put_same(self, path, data)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Objects, "put_same", interrupted)
        migrate(store)
    assert states(store) == ["copied" if writes < 11 else "there", "copied"]
    assert rollback(store).promotion.restores == 1

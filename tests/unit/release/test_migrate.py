"""An existing store is brought over: nothing is lost, however often it is interrupted."""

import subprocess
import sys

import pytest
from candidates import candidate_files, delete, overwrite, paths, put, read
from old_stores import old_candidate, old_entry, old_store
from processes import wait_for
from promotions import EVERYWHERE, release_attested
from reports import POLICY

from ml.core.canonical import canonical_bytes, digest
from ml.core.errors import EvidenceError
from ml.release.migrate import migrate
from ml.release.promotion import promote
from ml.release.rollback import plan_rollback, rollback


def contents(store):
    return {path: read(store.uri, path) for path in paths(store.uri)}


def test_every_model_of_the_log_is_copied_and_nothing_else_is_touched(store):
    first, second = old_store(store.uri)
    unused = old_candidate(store.uri, "C", second)
    before = contents(store)
    brought = migrate(store)
    assert [(one.candidate, one.numbers, one.state) for one in brought] == [
        (first, (1,), "copied"),
        (second, (2,), "copied"),
    ]
    after = contents(store)
    assert {path: after[path] for path in before} == before
    assert {path for path in after if path.startswith("promoted/")} == {
        path.replace("candidates/", "promoted/", 1)
        for path in before
        if path.startswith("candidates/") and unused not in path
    }
    assert [one.state for one in migrate(store)] == ["there", "there"]
    assert contents(store) == after


def test_a_dry_run_says_what_it_would_do_and_changes_nothing(store):
    old_store(store.uri)
    before = paths(store.uri)
    assert [one.state for one in migrate(store, dry_run=True)] == ["to copy", "to copy"]
    assert paths(store.uri) == before


@pytest.mark.parametrize("work", [rollback, plan_rollback])
def test_before_it_rollback_and_promotion_say_which_command_to_run(folder, work, keys):
    _, second = old_store(folder.uri)
    before = paths(folder.uri)
    command = f"`jukebox store migrate --store {folder.uri}` copies"
    with pytest.raises(EvidenceError, match=command):
        work(folder)
    candidate = put(folder, "C", champion=second)
    before = paths(folder.uri)
    for name in (candidate, second):
        with pytest.raises(EvidenceError, match=f"made by an older jukebox.*{command}"):
            promote(folder, name, POLICY)
    assert paths(folder.uri) == before


def test_after_it_old_entries_can_be_rolled_back_to_and_new_ones_follow(store, keys):
    first, second = old_store(store.uri)
    old = [read(store.uri, f"promotions/0000000{number}.json") for number in (1, 2)]
    migrate(store)
    outcome = rollback(store)
    entry = outcome.promotion
    assert (entry.number, entry.restores, entry.candidate) == (3, 1, first)
    assert (entry.kind, entry.previous, entry.commit) == ("self-checked", digest(old[1]), "c0ffee")
    assert read(store.uri, "serving/jukebox/3/model.onnx") == candidate_files("A")["model.onnx"]
    assert release_attested(store, "C", keys).promotion.champion == first
    assert rollback(store, to=2).promotion.candidate == second
    assert not promote(store, second, EVERYWHERE).new
    assert [read(store.uri, f"promotions/0000000{number}.json") for number in (1, 2)] == old


def test_a_model_that_is_lost_hinders_no_other(store):
    first, second = old_store(store.uri)
    delete(store.uri, f"candidates/{first}/model.onnx")
    lost, copied = migrate(store)
    assert (lost.candidate, lost.state, copied.state) == (first, "lost", "copied")
    assert "model.onnx is missing or was changed" in lost.why
    assert not [path for path in paths(store.uri) if path.startswith(f"promoted/{first}")]
    with pytest.raises(EvidenceError, match=f"model {first} is not in"):
        rollback(store)
    assert not promote(store, second, EVERYWHERE).new


def test_another_model_than_the_one_of_the_log_is_not_brought_over(folder):
    candidate = old_candidate(folder.uri, "A")
    old_entry(folder.uri, 1, candidate, "B")
    (found,) = migrate(folder)
    assert (found.state, found.why) == ("lost", "its model has another digest than the log says")


@pytest.mark.parametrize("name", ["../../x", "a/b", ".hidden", "x" * 65])
def test_a_manifest_with_names_that_cannot_be_stored_is_not_brought_over(folder, name):
    manifest = canonical_bytes(
        {"schema": "jukebox.candidate/v1", "files": {name: {"digest": digest(b""), "size": 0}}}
    )
    candidate = digest(manifest).removeprefix("sha256:")
    overwrite(folder.uri, f"candidates/{candidate}/manifest.json", manifest)
    old_entry(folder.uri, 1, candidate, "A")
    (found,) = migrate(folder)
    assert "its files cannot be stored" in found.why


def test_a_damaged_copy_is_told(folder):
    old_store(folder.uri)
    migrate(folder)
    first = folder.log()[0].candidate
    overwrite(folder.uri, f"promoted/{first}/model.onnx", b"changed")
    assert [one.state for one in migrate(folder)] == ["lost", "there"]


KILLED = """
import sys, time
from ml.release import migrate, promoted
from ml.release.objects import Objects
from ml.release.store import ModelStore
put, left = Objects.put_same, int(sys.argv[2])
def put_same(self, path, data):
    global left
    if not left:
        open(sys.argv[3], "w").close()
        time.sleep(60)
    left -= 1
    put(self, path, data)
Objects.put_same = put_same
migrate.migrate(ModelStore(sys.argv[1]))
"""


@pytest.mark.parametrize("writes", [0, 10, 13])
def test_killed_half_way_and_repeated_it_ends_the_same(folder, tmp_path, writes):
    """There are eleven files of each of two models."""
    old_store(folder.uri)
    reached = tmp_path / "reached"
    arguments = [sys.executable, "-c", KILLED, folder.uri, str(writes), str(reached)]
    with subprocess.Popen(arguments) as process:
        wait_for(reached.exists, 30)
        process.kill()
    copied = [path for path in paths(folder.uri) if path.startswith("promoted/")]
    assert len(copied) == writes
    states = [one.state for one in migrate(folder)]
    assert states == ["copied" if writes < 11 else "there", "copied"]
    promoted = {path for path in paths(folder.uri) if path.startswith("promoted/")}
    assert len(promoted) == 22
    assert rollback(folder).promotion.restores == 1

"""The verbs about the store: who, why, from which commit, and the way back."""

import json

import pytest
from attestations import trust_file
from candidates import delete, overwrite, paths, put
from old_stores import old_store
from promotions import attestation_of
from reports import POLICY

from ml.release.promotion import champion_of, promote
from ml.release.store import ModelStore

COMMIT = "3f2a91c0d4e5" + "0" * 28


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store with two promotions; the second was made from a work tree with changes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUKEBOX_ACTOR", "ada@laptop")
    opened = ModelStore(str(tmp_path / ".jukebox" / "store"), create=True)
    for name, dirty in (("A", False), ("B", True)):
        candidate = put(opened, name, champion=champion_of(opened.log()), commit=COMMIT, dirty=dirty)
        promote(opened, candidate, POLICY, why=f"because of {name} [red]")
    return opened


def test_models_tells_commit_person_and_reason(store, jukebox):
    newest, oldest = jukebox("models").out.splitlines()[1:3]
    assert "3f2a91c0d4e5+dirty" in newest
    assert "+dirty" not in oldest
    for line, name in ((newest, "B"), (oldest, "A")):
        assert "ada@laptop" in line
        assert f"because of {name} [red]" in line
        assert "self-checked" in line
    assert "in production" in newest
    entries = jukebox("models", "--json").json["promotions"]
    assert [(entry["commit"], entry["dirty"]) for entry in entries] == [(COMMIT, False), (COMMIT, True)]


def test_models_tells_a_promotion_that_was_never_published(store, jukebox):
    delete(store.uri, "serving/jukebox/2/model.onnx")
    done = jukebox("models")
    assert "not published yet" in done.out
    assert f"`jukebox promote {store.log()[1].candidate[:12]}` publishes it" in done.out


def test_promote_tells_commit_person_and_reason(store, jukebox):
    third = put(store, "C", champion=champion_of(store.log()), commit=COMMIT, dirty=True)
    done = jukebox("promote", third[:12], "--reason", "better in BR")
    assert done.code == 0, done.err
    assert "promoted:  number 3" in done.out
    assert "commit:    3f2a91c0d4e5+dirty\n" in done.out
    assert "by:        ada@laptop: better in BR\n" in done.out
    assert "basis:     self-checked: on the report of its own run\n" in done.out
    assert f"head:      3 {store.log()[2].digest} (head not checked)\n" in done.out


def test_promote_again_says_which_state_it_found(store, jukebox):
    candidate = champion_of(store.log())
    assert (
        "nothing to do: this model is in production already (promotion 2)"
        in jukebox("promote", candidate).out
    )
    delete(store.uri, "serving/jukebox/2/model.onnx")
    done = jukebox("promote", candidate)
    assert done.out.startswith("found:     promotion 2 was in the log but not published (an earlier")
    assert "published: promotion 2 is in production now" in done.out
    assert "nothing to do" not in done.out
    assert "serving/jukebox/2/model.onnx" in paths(store.uri)
    again = jukebox("promote", candidate, "--json").json
    assert (again["new"], again["unpublished"], again["who"]) == (False, 0, "ada@laptop")


def test_an_interrupted_rollback_is_finished_and_says_so(store, jukebox):
    jukebox("rollback")
    delete(store.uri, "serving/jukebox/3/model.onnx")
    done = jukebox("rollback")
    assert done.out.startswith("found:     promotion 3 was in the log but not published")
    assert "published: rollback 3, which restores 1, is in production now" in done.out


def test_a_dry_run_tells_from_where_to_where_and_changes_nothing(store, jukebox):
    before = paths(store.uri)
    first, second = (entry.candidate[:12] for entry in store.log())
    done = jukebox("rollback", "--dry-run")
    assert done.code == 0
    policy = store.log()[0].policy_digest[7:19]
    basis = "self-checked: on the report of its own run"
    assert done.out.splitlines() == [
        f"from:      promotion 2, candidate {second}, commit 3f2a91c0d4e5+dirty, policy {policy}, {basis}",
        f"to:        promotion 1, candidate {first}, commit 3f2a91c0d4e5, policy {policy}, {basis}",
        "would be:  promotion 3, by ada@laptop",
        "dry run: nothing was changed; head not checked",
    ]
    told = jukebox("rollback", "--dry-run", "--to", "1", "--json").json
    assert (told["from"]["number"], told["to"]["number"], told["entry"]["number"]) == (2, 1, 3)
    assert "in force already" in jukebox("rollback", "--dry-run", "--to", "2").out
    assert paths(store.uri) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rollback", "--to", "9"), "no promotion 9; `jukebox models --store "),
        (("rollback", "--to", "0"), "--to"),
        (("rollback", "--reason", "two\nlines"), "--reason: give one printable line"),
        (("rollback", "--dry-run", "--reason", "a" * 201), "--reason: give one printable line"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_changes_nothing(store, jukebox, arguments, message):
    before = paths(store.uri)
    done = jukebox(*arguments)
    assert done.code == 2
    assert message in done.refusal
    assert paths(store.uri) == before


def test_an_attested_candidate_is_promoted_and_the_new_head_handed_on(store, jukebox, tmp_path):
    key, trust = trust_file(tmp_path / "keys")
    (tmp_path / "a.json").write_bytes(attestation_of(store, "C", key))
    (tmp_path / "head").write_text(store.keep_head(store.log()).text)
    third = put(store, "C")
    options = "--attestation", "a.json", "--trust", trust, "--head", "head", "--results-dir", "results"
    done = jukebox("promote", third[:12], *options)
    assert done.code == 0, done.err
    logged = store.log()[2]
    assert f"basis:     attested ({logged.attestation[7:19]})\n" in done.out
    assert f"head:      3 {logged.digest} (head 2 of head)\n" in done.out
    results = {path.name: path.read_text() for path in (tmp_path / "results").iterdir()}
    assert results["PROMOTION"] == "3"
    assert json.loads(results["HEAD"]) == {"number": 3, "digest": logged.digest}
    assert json.loads((tmp_path / "head").read_text()) == json.loads(results["HEAD"])
    again = jukebox("promote", third[:12], *options, "--json").json
    assert (again["new"], again["kind"], again["checked"]) == (False, "attested", "head 3 of head")
    assert "attested" in jukebox("models").out.splitlines()[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--attestation", "nowhere.json"), "--attestation nowhere.json: No such file"),
        (("--trust", "nowhere.pem"), "nowhere.pem"),
    ],
)
def test_what_cannot_be_read_is_wrong_use(store, jukebox, options, message):
    done = jukebox("promote", store.log()[0].candidate, *options)
    assert (done.code, message in done.refusal) == (2, True)


def test_a_deleted_newest_entry_is_one_line_for_every_verb_that_is_told_the_head(store, jukebox, tmp_path):
    (tmp_path / "head").write_text(store.keep_head(store.log()).text)
    delete(store.uri, "promotions/00000002.json")
    candidate = put(store, "C")
    for verb in (("models",), ("promote", candidate), ("rollback",), ("store", "migrate")):
        done = jukebox(*verb, "--head", "head")
        assert done.code == 40
        assert "says that promotion 2 was made" in done.refusal
    assert "1 promotions, head not checked" in jukebox("models").out


def test_models_names_what_it_has_skipped(store, jukebox):
    overwrite(store.uri, "candidates/notes [red].txt", b"")
    done = jukebox("models")
    assert done.code == 0
    assert "skipped:   candidates/notes [red].txt: no candidate\n" in done.out
    (told,) = jukebox("models", "--json").json["skipped"]
    assert told.endswith("no candidate")


def test_an_old_store_is_brought_over_by_the_command_that_models_names(tmp_path, jukebox, monkeypatch):
    monkeypatch.chdir(tmp_path)
    uri = str(tmp_path / "old")
    ModelStore(uri, create=True)
    first, second = old_store(uri)
    shown = jukebox("models", "--store", "old").out
    assert "promoted by an older jukebox; `jukebox store migrate --store old` brings it over" in shown
    assert "skipped:   2 candidates of an older jukebox, which cannot be promoted" in shown
    planned = jukebox("store", "migrate", "--store", "old", "--dry-run", "--json").json
    assert [one["state"] for one in planned["models"]] == ["to copy", "to copy"]
    done = jukebox("store", "migrate", "--store", "old")
    assert done.code == 0
    assert f"{uri}: 2 models in the log, 0 lost; head not checked" in done.out
    assert "older jukebox; " not in jukebox("models", "--store", "old").out
    assert jukebox("rollback", "--store", "old", "--json").json["candidate"] == first
    overwrite(uri, f"promoted/{second}/model.onnx", b"changed")
    done = jukebox("store", "migrate", "--store", "old")
    assert done.code == 40
    assert "1 of 2 models in the log are lost; restore their files from a backup" in done.refusal

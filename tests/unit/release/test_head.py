"""The head of the log, kept outside the store: whoever deletes the newest entries is found out."""

from pathlib import Path

import pytest
from candidates import delete, overwrite, put
from promotions import release
from reports import POLICY

from ml.core.canonical import canonical_bytes, parse
from ml.core.errors import EvidenceError, PlatformError, UsageError
from ml.release.head import Head, head_of
from ml.release.promotion import champion_of, promote
from ml.release.rollback import plan_rollback, rollback
from ml.release.store import ModelStore


@pytest.fixture
def kept(folder, tmp_path):
    """A store of two promotions whose head is kept in a file."""
    store = ModelStore(folder.uri, head=str(tmp_path / "head.json"))
    for name in "AB":
        release(store, name)
    return store


def read(store):
    return Head.load(parse(Path(store.head_at).read_bytes()))


def test_each_promotion_and_rollback_keeps_the_head(kept):
    assert read(kept) == head_of(kept.log())
    assert rollback(kept).head == read(kept) == head_of(kept.log())
    assert kept.head_state() == f"head 3 of {kept.head_at}"


@pytest.mark.parametrize("newest", [2, 1])
def test_a_deleted_newest_entry_is_found_out_by_whoever_reads_the_log(kept, newest):
    for number in range(newest, 3):
        delete(kept.uri, f"promotions/{number:08}.json")
    candidate = put(kept, "C")
    for work in (
        kept.log,
        lambda: promote(kept, candidate, POLICY),
        lambda: rollback(kept),
        lambda: plan_rollback(kept),
    ):
        with pytest.raises(EvidenceError, match=r"says that promotion 2 was made: the newest .* removed"):
            work()


def test_a_newest_entry_that_was_changed_is_found_out(kept):
    last = kept.log()[-1].model_copy(update={"who": "another"})
    overwrite(kept.uri, "promotions/00000002.json", last.to_bytes())
    with pytest.raises(EvidenceError, match=r"promotion 2 has another digest than in .*head\.json"):
        kept.log()


def test_without_a_head_a_deleted_newest_entry_goes_unnoticed_and_that_is_said(kept):
    delete(kept.uri, "promotions/00000002.json")
    blind = ModelStore(kept.uri)
    assert len(blind.log()) == 1
    assert blind.head_state() == "head not checked"


def test_the_environment_names_the_head_for_verbs_without_the_option(kept, monkeypatch):
    monkeypatch.setenv("JUKEBOX_HEAD", kept.head_at)
    delete(kept.uri, "promotions/00000002.json")
    with pytest.raises(EvidenceError, match="the newest entries were removed"):
        ModelStore(kept.uri).log()
    assert len(ModelStore(kept.uri, head="").log()) == 1


def test_a_log_that_has_gone_on_since_is_accepted_and_the_next_one_keeps_its_head(kept):
    """Who dies between log and head leaves the head behind."""
    release(ModelStore(kept.uri), "C")
    assert read(kept).number == 2
    assert len(kept.log()) == 3
    assert not promote(kept, champion_of(kept.log()), POLICY).new
    assert read(kept) == head_of(kept.log())


def test_an_older_head_does_not_replace_a_newer_one(kept):
    log = kept.log()
    kept.keep_head(log[:1])
    assert read(kept) == head_of(log)


def test_the_head_is_known_from_the_first_promotion_on(folder, tmp_path):
    store = ModelStore(folder.uri, head=str(tmp_path / "head"))
    (tmp_path / "head").write_text("\n")
    assert store.head_state() == "head not checked"
    release(store)
    assert store.head_state() == f"head 1 of {tmp_path / 'head'}"


def test_a_mounted_config_map_is_read_and_left_alone(kept, tmp_path):
    """It is a symbolic link into a folder that Kubernetes replaces as a whole."""
    mounted = tmp_path / "mounted"
    mounted.symlink_to(kept.head_at)
    before = Path(kept.head_at).read_text()
    store = ModelStore(kept.uri, head=str(mounted))
    outcome = rollback(store)
    assert (outcome.head.number, outcome.checked) == (3, f"head 2 of {mounted}")
    assert Path(kept.head_at).read_text() == before


@pytest.mark.parametrize("text", ["{", "[]", "2", '{"number": 2}', '{"number": 1, "digest": "x"}'])
def test_what_is_no_head_is_refused(kept, text):
    Path(kept.head_at).write_text(text)
    with pytest.raises(UsageError, match="not the head of a log"):
        kept.log()


def test_a_head_that_cannot_be_read_is_not_taken_for_none(kept, tmp_path):
    with pytest.raises(PlatformError, match="cannot be read"):
        ModelStore(kept.uri, head=str(tmp_path)).log()


def test_the_head_of_an_empty_log_is_zero(folder):
    assert canonical_bytes(folder.keep_head([]).to_json()) == b'{"digest":"","number":0}\n'

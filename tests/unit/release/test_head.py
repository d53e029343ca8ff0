"""The head of the log, stored outside of the store: it reveals that the newest entries were deleted."""

from pathlib import Path

import pytest
from candidates import delete, overwrite, put
from promotions import release
from reports import POLICY

from ml.core.canonical import parse
from ml.core.errors import EvidenceError, PlatformError, UsageError
from ml.release import head as head_module
from ml.release.head import Head, head_of
from ml.release.promotion import champion_of, promote
from ml.release.rollback import plan_rollback, rollback
from ml.release.store import ModelStore


@pytest.fixture
def kept(folder, tmp_path):
    """A store of two promotions whose head is in a file, which was blank at first."""
    store = ModelStore(folder.uri, head=str(tmp_path / "head.json"))
    assert store.head_state() == "head not checked"
    Path(store.head_at).write_text("\n")
    for name in "AB":
        release(store, name)
    return store


def read(store):
    return Head.load(parse(Path(store.head_at).read_bytes()))


def test_each_promotion_and_rollback_stores_the_head(kept):
    assert read(kept) == head_of(kept.log())
    assert rollback(kept).head == read(kept) == head_of(kept.log())
    assert kept.head_state() == f"head 3 of {kept.head_at}"
    kept.keep_head(kept.log()[:1])
    assert read(kept).number == 3


@pytest.mark.parametrize("newest", [2, 1])
def test_a_deleted_newest_entry_is_noticed_by_whoever_reads_the_log(kept, newest):
    for number in range(newest, 3):
        delete(kept.uri, f"promotions/{number:08}.json")
    candidate = put(kept, "C")
    for work in (rollback, plan_rollback, lambda store: promote(store, candidate, POLICY)):
        with pytest.raises(EvidenceError, match=r"says that promotion 2 was made: the newest .* removed"):
            work(kept)


def test_a_newest_entry_that_was_changed_is_noticed(kept):
    last = kept.log()[-1].model_copy(update={"who": "another"})
    overwrite(kept.uri, "promotions/00000002.json", last.to_bytes())
    with pytest.raises(EvidenceError, match=r"promotion 2 has another digest than in .*head\.json"):
        kept.log()


def test_the_environment_names_the_head_for_verbs_without_the_option(kept, monkeypatch):
    monkeypatch.setenv("JUKEBOX_HEAD", kept.head_at)
    delete(kept.uri, "promotions/00000002.json")
    with pytest.raises(EvidenceError, match="the newest entries were removed"):
        ModelStore(kept.uri).log()
    blind = ModelStore(kept.uri, head="")
    assert (len(blind.log()), blind.head_state()) == (1, "head not checked")


def test_a_log_that_has_gone_on_since_is_accepted_and_the_next_one_stores_its_head(kept):
    """Who dies between log and head leaves the older head."""
    release(ModelStore(kept.uri), "C")
    assert (read(kept).number, len(kept.log())) == (2, 3)
    assert not promote(kept, champion_of(kept.log()), POLICY).new
    assert read(kept) == head_of(kept.log())


def test_a_mounted_config_map_is_read_and_left_alone(kept, tmp_path):
    """It is a symbolic link into a folder that Kubernetes replaces as a whole."""
    mounted = tmp_path / "mounted"
    mounted.symlink_to(kept.head_at)
    outcome = rollback(ModelStore(kept.uri, head=str(mounted)))
    assert (outcome.head.number, outcome.checked) == (3, f"head 2 of {mounted}")
    assert read(kept).number == 2


@pytest.mark.parametrize("text", ["{", "[]", "2", '{"number": 2}', '{"number": 1, "digest": "x"}'])
def test_what_is_no_head_is_refused(kept, text):
    Path(kept.head_at).write_text(text)
    with pytest.raises(UsageError, match="not the head of a log"):
        kept.log()


def test_a_head_that_cannot_be_read_or_written_is_a_platform_error(kept, tmp_path, monkeypatch):
    with pytest.raises(PlatformError, match="cannot be read"):
        ModelStore(kept.uri, head=str(tmp_path)).log()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(head_module, "write_bytes", full)
    with pytest.raises(PlatformError, match=r"head\.json: cannot be written: No space left"):
        rollback(kept)


def test_the_head_of_an_empty_log_is_zero(folder):
    assert folder.keep_head([]).text == '{"digest":"","number":0}'

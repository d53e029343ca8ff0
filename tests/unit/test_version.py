"""The code's version: the repository's word first, the variable where there is none."""

import shutil
import subprocess

import pytest

from ml import version


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A package in a folder of its own."""
    (tmp_path / "ml").mkdir()
    monkeypatch.setattr(version, "__file__", str(tmp_path / "ml" / "version.py"))
    monkeypatch.delenv("JUKEBOX_COMMIT", raising=False)
    return tmp_path


def commit(tree) -> str:
    if not shutil.which("git"):
        pytest.skip("no git; install it: apt-get install git")
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "--allow-empty", "-m", "x"]):
        names = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", "-C", tree, *names, *command], check=True)
    done = subprocess.run(
        ["git", "-C", tree, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_repository_says_its_commit_and_whether_it_is_dirty(tree):
    head = commit(tree)
    assert version.code_version() == (head, False)
    (tree / "new.py").write_text("")
    assert version.code_version() == (head, True)


def test_the_variable_cannot_talk_over_a_repository(tree, monkeypatch):
    head = commit(tree)
    (tree / "new.py").write_text("")
    monkeypatch.setenv("JUKEBOX_COMMIT", "something clean")
    assert version.code_version() == (head, True)


def test_without_a_repository_the_variable_speaks_and_without_both_nobody(tree, monkeypatch):
    assert version.code_version() == (version.UNKNOWN, True)
    monkeypatch.setenv("JUKEBOX_COMMIT", "abc")
    assert version.code_version() == ("abc", False)


def test_a_repository_around_the_package_is_not_the_packages(tree, monkeypatch):
    commit(tree)
    inner = tree / "vendored"
    (inner / "ml").mkdir(parents=True)
    monkeypatch.setattr(version, "__file__", str(inner / "ml" / "version.py"))
    assert version.code_version() == (version.UNKNOWN, True)


def test_a_commit_is_shown_short_and_with_its_changes():
    assert version.short_commit("3f2a91c0d4e5" + "0" * 28) == "3f2a91c0d4e5"
    assert version.short_commit("3f2a91c0d4e5" + "0" * 28, dirty=True) == "3f2a91c0d4e5+dirty"
    assert version.short_commit("", dirty=True) == ""

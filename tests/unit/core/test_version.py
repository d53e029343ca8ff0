"""The code's version: the repository's word first, the variable where there is none."""

import shutil
import subprocess

import pytest

from ml.core import version


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A package in a folder of its own."""
    (tmp_path / "ml").mkdir()
    monkeypatch.setattr(version, "PACKAGE", tmp_path / "ml")
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
    monkeypatch.setattr(version, "PACKAGE", inner / "ml")
    assert version.code_version() == (version.UNKNOWN, True)


def test_a_commit_is_shown_short_and_with_its_changes():
    assert version.short_commit("3f2a91c0d4e5" + "0" * 28) == "3f2a91c0d4e5"
    assert version.short_commit("3f2a91c0d4e5" + "0" * 28, dirty=True) == "3f2a91c0d4e5+dirty"
    assert version.short_commit("", dirty=True) == ""


def test_the_code_of_a_commit_is_found_again_and_what_differs_since(tree):
    source = tree / "ml" / "gate.py"
    source.write_text("bound = 1\n")
    commit(tree)
    judged = version.code_digest()
    assert version.commits_since(judged) == (0, [])
    (tree / "README.md").write_text("words")
    commit(tree)
    assert version.commits_since(judged) == (1, [])
    assert version.code_digest() == judged
    source.write_text("bound = 2\n")
    commit(tree)
    assert version.commits_since(judged) == (2, ["ml/gate.py"])
    assert version.code_digest() != judged


def test_code_that_no_commit_has_is_not_found(tree):
    (tree / "ml" / "gate.py").write_text("bound = 1\n")
    assert version.commits_since(version.code_digest()) is None
    commit(tree)
    (tree / "ml" / "gate.py").write_text("bound = 2\n")
    assert version.commits_since(version.code_digest()) is None


def test_compiled_files_and_notes_are_not_code(tree):
    (tree / "ml" / "gate.py").write_text("bound = 1\n")
    before = version.code_digest()
    (tree / "ml" / "gate.pyc").write_bytes(b"x")
    (tree / "ml" / "notes.txt").write_text("x")
    assert version.code_digest() == before
    (tree / "ml" / "policy.yaml").write_text("x")
    assert version.code_digest() != before

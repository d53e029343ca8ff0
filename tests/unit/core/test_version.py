"""The code's version: the repository's word first, the variable where there is none."""

import subprocess

import pytest

from ml.core import version

HASH = "3f2a91c0d4e5" + "0" * 28


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A package in a folder of its own."""
    (tmp_path / "ml").mkdir()
    monkeypatch.setattr(version, "PACKAGE", tmp_path / "ml")
    monkeypatch.delenv("JUKEBOX_COMMIT", raising=False)
    return tmp_path


def commit(tree) -> str:
    names = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in ("init -q", "add .", "commit -q --allow-empty -m x", "rev-parse HEAD"):
        run = ["git", "-C", tree, *names, *command.split()]
        done = subprocess.run(run, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_repository_of_the_package_says_its_commit_and_whether_it_is_dirty_else_the_variable(
    tree, monkeypatch
):
    assert version.code_version() == (version.UNKNOWN, True)
    monkeypatch.setenv("JUKEBOX_COMMIT", "abc")
    assert version.code_version() == ("abc", False)
    head = commit(tree)
    assert version.code_version() == (head, False)
    (tree / "new.py").write_text("")
    assert version.code_version() == (head, True)
    # A repository around the package is not the package's.
    (tree / "vendored" / "ml").mkdir(parents=True)
    monkeypatch.setattr(version, "PACKAGE", tree / "vendored" / "ml")
    assert version.code_version() == ("abc", False)


def test_a_commit_is_shown_short_and_with_its_changes():
    assert version.short_commit(HASH) == HASH[:12]
    assert version.short_commit(HASH, dirty=True) == f"{HASH[:12]}+dirty"
    assert version.short_commit("", dirty=True) == ""


def test_the_code_of_a_commit_is_known_again_and_what_differs_since(tree):
    source = tree / "ml" / "gate.py"
    source.write_text("bound = 1\n")
    judged = version.code_digest()
    assert version.commits_since(judged) is None
    commit(tree)
    (tree / "README.md").write_text("words")
    commit(tree)
    assert version.commits_since(judged) == (1, [])
    # Neither notes nor compiled files are code.
    for name in ("gate.pyc", "notes.txt"):
        (tree / "ml" / name).write_text("words")
    assert version.code_digest() == judged
    source.write_text("bound = 2\n")
    assert version.commits_since(version.code_digest()) is None
    for name in ("gate.pyc", "notes.txt"):
        (tree / "ml" / name).unlink()
    commit(tree)
    assert version.commits_since(judged) == (2, ["ml/gate.py"])
    changed = version.code_digest()
    (tree / "ml" / "policy.yaml").write_text("x")
    assert judged != changed != version.code_digest()

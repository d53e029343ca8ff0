"""What an image is built from: what git says of a checkout, and the files of a commit."""

import os
import stat

import pytest
from checkouts import DATE, commit_all, git

from ml.core.errors import UsageError
from ml.image.source import Source, export, read_source


@pytest.fixture
def exported(tmp_path):
    folder = tmp_path / "exported"
    folder.mkdir()
    return folder


def refused(function, *arguments) -> str:
    with pytest.raises(UsageError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_commit_has_a_hash_and_a_date(repository):
    head = git(repository, "rev-parse", "HEAD")
    assert read_source(repository) == Source(head, DATE, "", dirty=False)


def test_an_edit_and_a_new_file_are_dirt(repository):
    (repository / "new.txt").write_text("")
    assert read_source(repository).dirty
    commit_all(repository)
    assert not read_source(repository).dirty
    (repository / "song.txt").write_text("lo\n")
    assert read_source(repository).dirty


@pytest.mark.parametrize(
    ("remote", "shown"),
    [
        ("https://git.example/team/jukebox", "https://git.example/team/jukebox"),
        ("https://someone:s3cr3t@git.example:8443/team/jukebox", "https://git.example:8443/team/jukebox"),
        ("https://s3cr3t@git.example/jukebox?token=s3cr3t", "https://git.example/jukebox"),
        ("ssh://git@git.example/team/jukebox", "ssh://git.example/team/jukebox"),
        ("git@git.example:team/jukebox", "ssh://git.example/team/jukebox"),
        ("/home/someone/jukebox", ""),
        ("file:///home/someone/jukebox", ""),
        ("../jukebox", ""),
    ],
)
def test_where_it_came_from_is_an_address_without_a_secret_or_nothing(repository, remote, shown):
    git(repository, "remote", "add", "origin", remote)
    assert read_source(repository).url == shown


def test_no_checkout_no_commit_and_no_folder_are_refused(tmp_path):
    git(tmp_path, "--version")
    assert f"cannot build from {tmp_path}: fatal: not a git repository" in refused(read_source, tmp_path)
    git(tmp_path, "init", "-q")
    assert "does not have any commits" in refused(read_source, tmp_path)
    assert "No such file" in refused(read_source, tmp_path / "none")


def test_without_git_it_says_so(repository, exported, monkeypatch):
    monkeypatch.setenv("PATH", str(exported))
    assert "git is not installed" in refused(read_source, repository)
    assert "git is not installed" in refused(export, repository, "HEAD", exported)


def names(folder) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_only_what_is_committed_is_exported(repository, exported):
    (repository / "song.txt").write_text("edited\n")
    (repository / "staged.txt").write_text("staged\n")
    git(repository, "add", "staged.txt")
    (repository / "new.txt").write_text("untracked\n")
    export(repository, git(repository, "rev-parse", "HEAD"), exported)
    assert names(exported) == {"song.txt"}
    assert (exported / "song.txt").read_text() == "la\n"


def test_the_commit_that_was_named_is_exported_not_a_later_one(repository, exported):
    first = git(repository, "rev-parse", "HEAD")
    (repository / "later.txt").write_text("")
    commit_all(repository)
    export(repository, first, exported)
    assert names(exported) == {"song.txt"}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize("tar_umask", [None, "0000", "0777", "user"])
def test_modes_are_the_same_under_any_umask(repository, exported, umask, tar_umask):
    if tar_umask:
        git(repository, "config", "tar.umask", tar_umask)
    (repository / "bin").mkdir()
    (repository / "bin/play").write_text("#!/bin/sh\n")
    (repository / "bin/play").chmod(0o700)
    (repository / "bin/again").symlink_to("play")
    before = os.umask(umask)
    try:
        export(repository, commit_all(repository), exported)
    finally:
        os.umask(before)
    modes = {name: stat.filemode((exported / name).lstat().st_mode) for name in names(exported)}
    assert modes == {
        "bin": "drwxr-xr-x",
        "bin/again": "lrwxrwxrwx",
        "bin/play": "-rwxr-xr-x",
        "song.txt": "-rw-r--r--",
    }
    assert stat.filemode(exported.stat().st_mode) == "drwxr-xr-x"


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside"])
def test_a_link_out_of_the_checkout_is_refused(repository, exported, target):
    (repository / "link").symlink_to(target)
    assert "link" in refused(export, repository, commit_all(repository), exported)


def test_a_commit_that_is_not_there_is_refused(repository, exported):
    assert "cannot build from" in refused(export, repository, "0" * 40, exported)


def test_the_settings_of_whoever_builds_change_no_byte(repository, exported, tmp_path):
    attributes = tmp_path / "attributes"
    attributes.write_text("song.txt export-ignore\n")
    settings = {"core.autocrlf": "true", "core.eol": "crlf", "core.attributesFile": str(attributes)}
    for name, value in {**settings, "log.showSignature": "true"}.items():
        git(repository, "config", name, value)
    export(repository, read_source(repository).commit, exported)
    assert (exported / "song.txt").read_bytes() == b"la\n"

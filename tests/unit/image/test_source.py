"""The source of an image: what git says of a checkout, and the files of a commit."""

import os
import stat

import pytest
from checkouts import DATE, append, commit_all, files_in, git

from ml.core.errors import UsageError
from ml.image.source import Source, export, read_source


@pytest.fixture
def repository(tmp_path):
    append(tmp_path / "repository/file.txt", "text\n")
    commit_all(tmp_path / "repository")
    return tmp_path / "repository"


@pytest.fixture
def exported(tmp_path):
    (tmp_path / "exported").mkdir()
    return tmp_path / "exported"


def refused(function, *arguments) -> str:
    with pytest.raises(UsageError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_checkout_has_a_commit_and_is_dirty_with_an_edit_or_a_new_file(repository):
    head = git(repository, "rev-parse", "HEAD")
    assert read_source(repository) == Source(head, DATE, "", dirty=False)
    for name in ("new.txt", "file.txt"):
        append(repository / name)
        assert read_source(repository).dirty
        commit_all(repository)
        assert not read_source(repository).dirty


@pytest.mark.parametrize(
    ("remote", "url"),
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
def test_the_address_of_the_remote_has_no_secret_and_no_path_of_this_machine(repository, remote, url):
    git(repository, "remote", "add", "origin", remote)
    assert read_source(repository).url == url


def test_a_folder_that_cannot_be_built_from_is_refused(repository, tmp_path, exported, monkeypatch):
    assert f"cannot build from {exported}: fatal: not a git repository" in refused(read_source, exported)
    git(exported, "init", "-q")
    assert "does not have any commits" in refused(read_source, exported)
    assert "No such file" in refused(read_source, tmp_path / "none")
    assert "cannot build from" in refused(export, repository, "0" * 40, exported)
    monkeypatch.setenv("PATH", str(exported))
    assert "git is not installed" in refused(read_source, repository)


def test_the_named_commit_is_exported_whatever_the_work_tree_and_the_settings_are(repository, exported):
    first = read_source(repository).commit
    append(repository / "later.txt")
    commit_all(repository)
    append(repository / "staged.txt")
    git(repository, "add", "staged.txt")
    append(repository / "file.txt")
    append(exported.with_name("attributes"), "file.txt export-ignore\n")
    settings = {"core.autocrlf": "true", "core.eol": "crlf", "log.showSignature": "true"}
    for name, value in {**settings, "core.attributesFile": str(exported.with_name("attributes"))}.items():
        git(repository, "config", name, value)
    export(repository, first, exported)
    assert files_in(exported) == {"file.txt": b"text\n"}
    assert read_source(repository).dirty


@pytest.mark.parametrize(("umask", "tar_umask"), [(0, None), (0o22, "0777"), (0o77, "0000"), (0o77, "user")])
def test_modes_do_not_depend_on_a_umask(repository, exported, umask, tar_umask):
    if tar_umask:
        git(repository, "config", "tar.umask", tar_umask)
    append(repository / "bin/play", "#!/bin/sh\n")
    (repository / "bin/play").chmod(0o700)
    (repository / "bin/again").symlink_to("play")
    before = os.umask(umask)
    try:
        export(repository, commit_all(repository), exported)
    finally:
        os.umask(before)
    paths = [exported, *exported.rglob("*")]
    modes = {str(path.relative_to(exported)): stat.filemode(path.lstat().st_mode) for path in paths}
    program = {"bin": "drwxr-xr-x", "bin/again": "lrwxrwxrwx", "bin/play": "-rwxr-xr-x"}
    assert modes == {".": "drwxr-xr-x", "file.txt": "-rw-r--r--", **program}


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside", ".."])
def test_a_link_out_of_the_checkout_is_refused(repository, exported, target):
    (repository / "link").symlink_to(target)
    line = refused(export, repository, commit_all(repository), exported)
    assert "link is a link out of the checkout" in line

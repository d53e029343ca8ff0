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


def refused(said: str, function, *arguments) -> None:
    with pytest.raises(UsageError, match=f"^.*{said}.*$"):
        function(*arguments)


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
        ("https://someone:s3cr3t@git.example:8443/team/jukebox", "https://git.example:8443/team/jukebox"),
        ("ssh://git@git.example/team/jukebox", "ssh://git.example/team/jukebox"),
        ("git@git.example:team/jukebox", "ssh://git.example/team/jukebox"),
        ("/home/someone/jukebox", ""),
        ("file:///home/someone/jukebox", ""),
    ],
)
def test_the_address_of_the_remote_has_no_secret_and_no_path_of_this_machine(repository, remote, url):
    git(repository, "remote", "add", "origin", remote)
    assert read_source(repository).url == url


def test_a_folder_that_cannot_be_built_from_is_refused(repository, exported, monkeypatch):
    refused(f"cannot build from {exported}: fatal: not a git repository", read_source, exported)
    refused("cannot build from", export, repository, "0" * 40, exported)
    monkeypatch.setenv("PATH", str(exported))
    refused("git is not installed", read_source, repository)


@pytest.mark.parametrize(("umask", "tar_umask"), [(0, "0777"), (0o77, "user")])
def test_a_commit_is_exported_whatever_tree_and_settings_are(repository, exported, umask, tar_umask):
    append(repository / "bin/play", "#!/bin/sh\n")
    (repository / "bin/play").chmod(0o700)
    (repository / "bin/again").symlink_to("play")
    commit = commit_all(repository)
    append(repository / "later.txt")
    commit_all(repository)
    append(repository / "file.txt")
    append(exported.with_name("attributes"), "file.txt export-ignore\n")
    settings = {"core.autocrlf": "true", "core.eol": "crlf", "log.showSignature": "true"}
    settings |= {"core.attributesFile": str(exported.with_name("attributes")), "tar.umask": tar_umask}
    for name, value in settings.items():
        git(repository, "config", name, value)
    before = os.umask(umask)
    try:
        export(repository, commit, exported)
    finally:
        os.umask(before)
    program = dict.fromkeys(("bin/play", "bin/again"), b"#!/bin/sh\n")
    assert files_in(exported) == {"file.txt": b"text\n", **program}
    paths = [exported, *exported.rglob("*")]
    modes = {str(path.relative_to(exported)): stat.filemode(path.lstat().st_mode) for path in paths}
    program = {"bin": "drwxr-xr-x", "bin/again": "lrwxrwxrwx", "bin/play": "-rwxr-xr-x"}
    assert modes == {".": "drwxr-xr-x", "file.txt": "-rw-r--r--", **program}
    assert read_source(repository).dirty


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside", ".."])
def test_a_link_out_of_the_checkout_is_refused(repository, exported, target):
    (repository / "link").symlink_to(target)
    refused("link is a link out of the checkout", export, repository, commit_all(repository), exported)

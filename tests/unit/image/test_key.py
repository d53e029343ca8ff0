"""The key of the dependencies: what changes it, what does not, and `jukebox image-key`."""

import json
import shutil

import pytest
from checkouts import append, files_in, key_of
from command import called

import ml.image.key
from ml.core.errors import UsageError
from ml.image.key import BY_DIGEST, FILES, default_base, dependencies, keyed_files, write_context

BASE = f"host:5000/base@sha256:{'1' * 64}"


@pytest.mark.parametrize("name", FILES)
def test_every_byte_of_a_keyed_file_changes_the_key_and_a_link_is_refused(tree, name):
    before = key_of(tree)
    append(tree / name, " ")
    assert key_of(tree) != before
    (tree / name).rename(tree / "same")
    with pytest.raises(UsageError, match=f"cannot read .*{name}: No such file"):
        keyed_files(tree)
    (tree / name).symlink_to(tree / "same")
    with pytest.raises(UsageError, match=f"{name} is a link, or reached through one"):
        keyed_files(tree)


def test_a_folder_of_locks_that_is_a_link_is_refused(tree, tmp_path):
    (tree / "requirements").rename(tmp_path / "locks")
    (tree / "requirements").symlink_to(tmp_path / "locks")
    with pytest.raises(UsageError, match="reached through one"):
        keyed_files(tree)


def test_code_other_locks_and_the_folder_do_not_change_the_key(tree, tmp_path):
    before = key_of(tree)
    for name in ("LICENSE", "README.md", "pyproject.toml", "ml/core/version.py", "ml/new.py"):
        append(tree / name)
    for name in ("docs", "sbom", "server-overrides"):
        append(tree / f"requirements/{name}.txt")
    assert key_of(tree) == key_of(shutil.copytree(tree, tmp_path / "elsewhere/copy")) == before
    assert len(before) == 64


def test_python_base_and_architecture_change_the_key(tree, monkeypatch):
    keys = {key_of(tree), key_of(tree, python="3.11"), key_of(tree, base=BASE)}
    monkeypatch.setattr(ml.image.key, "native_architecture", lambda: "s390x")
    assert len({*keys, key_of(tree)}) == 4


def test_the_context_has_the_keyed_files_only(tree, tmp_path):
    write_context(keyed_files(tree), tmp_path / "context")
    assert files_in(tmp_path / "context") == {name: (tree / name).read_bytes() for name in FILES}


def test_a_containerfile_without_a_base_asks_for_one(tree):
    text = (tree / "Containerfile").read_text()
    (tree / "Containerfile").write_text(text.replace("ARG BASE_IMAGE=", "ARG OTHER="))
    with pytest.raises(UsageError, match="names no BASE_IMAGE; give one with --base"):
        default_base(tree)


def test_the_command_prints_the_key_and_what_it_is_made_of(tree, tmp_path):
    base = BY_DIGEST.match(default_base(tree))[1]
    document = json.loads(called("image-key", "--json", cwd=tree).stdout)
    assert document == dependencies(keyed_files(tree), "3.12", base).to_json()
    assert (document["python"], document["base"], set(document["files"])) == ("3.12", base, set(FILES))
    assert called("image-key", cwd=tree).stdout == f"{key_of(tree)}\n"
    done = called("image-key", "--python", "3.11", "--base", BASE, "--checkout", tree, cwd=tmp_path)
    assert done.stdout == f"{key_of(tree, '3.11', BASE)}\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--base", "registry.example/base:9.8"], "by digest"),
        (["--base", "registry.example/base@sha256:12"], "by digest"),
        (["--python", "3.13"], "--python 3.13: there are locks for 3.11 and 3.12"),
        (["--checkout", "."], "run this in a checkout"),
    ],
)
def test_wrong_use_is_one_line(tree, tmp_path, options, said):
    done = called("image-key", "--checkout", tree, *options, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n"), said in done.stderr) == (2, "", 1, True)

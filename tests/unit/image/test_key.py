"""The key of the dependencies: what changes it, what does not, and what `jukebox image-key` says."""

import json
import shutil

import pytest
from command import called

import ml.image.key
from ml.core.errors import UsageError
from ml.image.key import (
    BY_DIGEST,
    FILES,
    base_digest,
    default_base,
    dependencies,
    keyed_files,
    write_context,
)

BASE = f"sha256:{'1' * 64}"


def key(tree, python="3.12", base=BASE) -> str:
    return dependencies(keyed_files(tree), python, base).key


def replace(path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def append(path, text="\n# changed\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as file:
        file.write(text)


@pytest.mark.parametrize("name", FILES)
def test_each_file_that_is_built_from_changes_it(tree, name):
    before = key(tree)
    append(tree / name)
    assert key(tree) != before


def test_python_and_base_change_it(tree):
    assert len({key(tree), key(tree, python="3.11"), key(tree, base=f"sha256:{'2' * 64}")}) == 3


@pytest.mark.parametrize(
    "line",
    [
        "FROM build AS component-build",
        "FROM build AS tools-build",
        "FROM ${BASE_IMAGE} AS runtime",
        "FROM runtime AS component-dependencies",
        "FROM ${BASE_IMAGE} AS code",
    ],
)
@pytest.mark.parametrize(
    "added",
    [
        # Each of these once gave dependencies that another checkout took for its own.
        "FROM scratch AS component-dependencies",
        "from scratch as Component-Dependencies",
        "COPY --from=0 /etc /etc",
        "RUN --mount=type=bind,source=ml,target=/x cp -r /x /opt",
        "RUN --mount=source=ml,target=/x cp -r /x /opt",
        "run --mount='type'=bind,src=ml,dst=/x \\\n\n  cp -r /x /opt",
        "RUN <<EOF\ncp -r /x /opt\nEOF",
        "ADD https://example.org/x /opt",
        "ONBUILD COPY ml /opt",
        "ARG LATER=1",
        "# escape=`",
    ],
)
def test_any_change_of_the_containerfile_changes_it(tree, line, added):
    before = key(tree)
    replace(tree / "Containerfile", f"{line}\n", f"{line}\n{added}\n")
    assert key(tree) != before


def test_what_is_built_from_has_no_other_file(tree, tmp_path):
    """Whatever an instruction of the Containerfile takes, it is part of the key."""
    write_context(keyed_files(tree), tmp_path / "context")
    found = {p.relative_to(tmp_path / "context") for p in (tmp_path / "context").rglob("*") if p.is_file()}
    assert {str(path) for path in found} == set(FILES)
    for name in FILES:
        assert (tmp_path / "context" / name).read_bytes() == (tree / name).read_bytes()


@pytest.mark.parametrize("name", FILES)
def test_a_link_is_refused(tree, tmp_path, name):
    """The engine would follow it to another file than the one that is part of the key."""
    (tree / name).rename(tree / "same")
    (tree / name).symlink_to(tree / "same")
    with pytest.raises(UsageError, match=f"{name} is a link, or reached through one"):
        key(tree)


def test_a_folder_of_locks_that_is_a_link_is_refused(tree, tmp_path):
    (tree / "requirements").rename(tmp_path / "locks")
    (tree / "requirements").symlink_to(tmp_path / "locks")
    with pytest.raises(UsageError, match="reached through one"):
        key(tree)


@pytest.mark.parametrize(
    "name",
    [
        "ml/core/version.py",
        "ml/new.py",
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "requirements/docs.txt",
        "requirements/sbom.txt",
        "requirements/server-overrides.txt",
    ],
)
def test_code_and_other_locks_do_not(tree, name):
    before = key(tree)
    append(tree / name)
    assert key(tree) == before


def test_two_copies_in_different_folders_have_the_same(tree, tmp_path):
    copy = shutil.copytree(tree, tmp_path / "elsewhere" / "copy")
    assert key(copy) == key(tree)
    assert len(key(tree)) == 64


def test_a_lock_that_is_not_there_is_named(tree):
    (tree / "requirements/component.txt").unlink()
    with pytest.raises(UsageError, match=r"cannot read .*component\.txt: No such file"):
        key(tree)


def test_a_containerfile_without_a_base_asks_for_one(tree):
    replace(tree / "Containerfile", "ARG BASE_IMAGE=", "ARG OTHER=")
    with pytest.raises(UsageError, match="names no BASE_IMAGE; give one with --base"):
        default_base(tree)


def test_the_command_prints_the_key_and_what_it_follows_from(tree):
    done = called("image-key", "--json", cwd=tree)
    found = json.loads(done.stdout)
    base = base_digest(default_base(tree))
    assert found == dependencies(keyed_files(tree), "3.12", base).to_json()
    assert (found["python"], found["base"], set(found["files"])) == ("3.12", base, set(FILES))
    assert BY_DIGEST.match(default_base(tree))[1] == base
    assert called("image-key", cwd=tree).stdout == f"{found['key']}\n"


def test_the_command_takes_another_python_base_and_checkout(tree, tmp_path):
    options = ["--python", "3.11", "--base", f"host:5000/base@{BASE}", "--checkout", tree]
    done = called("image-key", *options, cwd=tmp_path)
    assert done.stdout == f"{key(tree, '3.11')}\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--base", "registry.example/base:9.8"], "by digest"),
        (["--base", "registry.example/base@sha256:12"], "by digest"),
        (["--python", "3.13"], "--python 3.13: there are locks for 3.11 and 3.12"),
        (["--checkout", "."], "run this in a checkout"),
    ],
)
def test_what_the_command_refuses(tree, tmp_path, options, said):
    done = called("image-key", "--checkout", tree, *options, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert said in line


def test_the_architecture_changes_it(tree, monkeypatch):
    before = key(tree)
    monkeypatch.setattr(ml.image.key, "native_architecture", lambda: "s390x")
    assert key(tree) != before

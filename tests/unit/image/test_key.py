"""The key of the dependencies: what changes it, what does not, and what `jukebox image-key` says."""

import json
import shutil

import pytest
from command import called

import ml.image.key
from ml.errors import UsageError
from ml.image.key import BY_DIGEST, KEYED, base_digest, default_base, dependencies

BASE = f"sha256:{'1' * 64}"


def key(tree, target="component", python="3.12", base=BASE) -> str:
    return dependencies(tree, target, python, base).key


def replace(path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def append(path, text="\n# changed\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as file:
        file.write(text)


@pytest.mark.parametrize(
    ("target", "lock"), [("component", "component"), ("tools", "tools"), ("test", "all")]
)
@pytest.mark.parametrize("name", ["{}.txt", "build.txt", "../ml/image/slim.py", "../ml/image/install.sh"])
def test_each_file_that_is_installed_from_changes_it(tree, target, lock, name):
    before = key(tree, target)
    append(tree / "requirements" / name.format(lock))
    assert key(tree, target) != before


def test_target_python_and_base_change_it(tree):
    keys = {key(tree, target) for target in KEYED}
    keys |= {key(tree, python="3.11"), key(tree, base=f"sha256:{'2' * 64}")}
    assert len(keys) == 6


def test_what_builds_follows_from_no_lock_of_an_image(tree):
    before = key(tree, "build")
    append(tree / "requirements" / "component.txt")
    append(tree / "ml" / "image" / "install.sh")
    assert key(tree, "build") == before
    append(tree / "requirements" / "build.txt")
    assert key(tree, "build") != before


@pytest.mark.parametrize(
    "line",
    [
        "FROM build AS component-build",
        "FROM ${BASE_IMAGE} AS runtime",
        "FROM runtime AS component-dependencies",
    ],
)
def test_an_instruction_in_a_stage_of_theirs_changes_it(tree, line):
    before = key(tree)
    replace(tree / "Containerfile", f"{line}\n", f"{line}\nENV CHANGED=1\n")
    assert key(tree) != before


@pytest.mark.parametrize(
    "line", ["FROM build AS code", "FROM build AS tools-build", "FROM component-dependencies AS component"]
)
def test_an_instruction_in_another_stage_does_not(tree, line):
    before = key(tree)
    replace(tree / "Containerfile", f"{line}\n", f"{line}\nENV CHANGED=1\n")
    assert key(tree) == before


@pytest.mark.parametrize("target", ["component", "test"])
def test_the_model_servers_lock_changes_it_where_the_server_is(tree, target):
    before, tools = key(tree, target), key(tree, "tools")
    append(tree / "requirements" / "server.txt")
    assert key(tree, target) != before
    assert key(tree, "tools") == tools


@pytest.mark.parametrize(
    "name",
    [
        "ml/version.py",
        "ml/new.py",
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "requirements/tools.txt",
        "requirements/sbom.txt",
        "requirements/server-overrides.txt",
        "requirements/all.txt",
    ],
)
def test_code_and_the_locks_of_others_do_not(tree, name):
    before = key(tree)
    append(tree / name)
    assert key(tree) == before


def test_a_comment_and_the_default_base_do_not(tree):
    before = key(tree)
    replace(
        tree / "Containerfile", "FROM build AS component-build\n", "FROM build AS component-build\n# a\n\n"
    )
    replace(tree / "Containerfile", "ARG BASE_IMAGE=", "# the base\nARG BASE_IMAGE=elsewhere/")
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
    assert found == dependencies(tree, "component", "3.12", base).to_json()
    assert (found["python"], found["target"], found["base"]) == ("3.12", "component", base)
    assert BY_DIGEST.match(default_base(tree))[1] == base
    assert len(found["files"]) == 5
    assert called("image-key", cwd=tree).stdout == f"{found['key']}\n"


def test_the_command_takes_another_target_python_base_and_checkout(tree, tmp_path):
    options = [
        "--target",
        "tools",
        "--python",
        "3.11",
        "--base",
        f"host:5000/base@{BASE}",
        "--checkout",
        tree,
    ]
    done = called("image-key", *options, cwd=tmp_path)
    assert done.stdout == f"{key(tree, 'tools', '3.11')}\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--base", "registry.example/base:9.8"], "by digest"),
        (["--base", "registry.example/base@sha256:12"], "by digest"),
        (["--target", "database"], "--target database: there are build, component, tools, test"),
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

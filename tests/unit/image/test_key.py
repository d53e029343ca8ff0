"""The key of the dependencies: what changes it, what does not, and `jukebox image-key`."""

import json
import shutil

import pytest
from checkouts import append, key_of
from command import called
from processes import assert_one_line

import ml.image.key
from ml.core.errors import UsageError
from ml.image.key import BY_DIGEST, FILES, default_base, dependencies, keyed_files

BASE = f"host:5000/base@sha256:{'1' * 64}"


def test_every_byte_of_a_keyed_file_python_base_and_architecture_change_the_key(tree, tmp_path, monkeypatch):
    keys = [key_of(tree)]
    for name in ("LICENSE", "pyproject.toml", "ml/core/version.py", "requirements/docs.txt"):
        append(tree / name)
    tree = shutil.copytree(tree, tmp_path / "elsewhere/copy")
    assert key_of(tree) == keys[0]
    keys += [key_of(tree, python="3.11"), key_of(tree, base=BASE)]
    for name in FILES:
        append(tree / name, " ")
        keys.append(key_of(tree))
    monkeypatch.setattr(ml.image.key, "native_architecture", lambda: "s390x")
    keys.append(key_of(tree))
    assert len(set(keys)) == len(FILES) + 4


@pytest.mark.parametrize("name", ["requirements", "ml/image/slim.py"])
def test_a_link_in_place_of_a_keyed_file_or_its_folder_is_refused(tree, tmp_path, name):
    (tree / name).rename(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match=f"cannot read .*{name}.*: No such file"):
        keyed_files(tree)
    (tree / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match=f"{name}.* is a link, or reached through one"):
        keyed_files(tree)


def test_the_command_prints_the_key_and_what_it_is_made_of(tree, tmp_path):
    base = BY_DIGEST.match(default_base(tree))[1]
    document = json.loads(called("image-key", "--json", cwd=tree).stdout)
    assert document == dependencies(keyed_files(tree), "3.12", base).to_json()
    assert (document["python"], document["base"], set(document["files"])) == ("3.12", base, set(FILES))
    done = called("image-key", "--python", "3.11", "--base", BASE, "--checkout", tree, cwd=tmp_path)
    assert done.stdout == f"{key_of(tree, '3.11', BASE)}\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--base", "registry.example/base:9.8"], "by digest"),
        (["--base", "registry.example/base@sha256:12"], "by digest"),
        (["--python", "3.13"], "--python 3.13: there are locks for 3.11 and 3.12"),
        ([], "names no BASE_IMAGE; give one with --base"),
    ],
)
def test_wrong_use_is_one_line(tree, options, said):
    text = (tree / "Containerfile").read_text()
    (tree / "Containerfile").write_text(text.replace("ARG BASE_IMAGE=", "ARG OTHER="))
    assert said in assert_one_line(called("image-key", *options, cwd=tree), 2)

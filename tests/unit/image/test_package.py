"""The package as files: what a wheel has of it, nothing that depends on the machine, and no link."""

import email
import json
import os
import subprocess
import sys
import zipfile

import pytest
from checkouts import ROOT

from ml.core.errors import UsageError
from ml.image.package import package_files

PACKAGES = "opt/jukebox/lib/python3.12/site-packages"
INFO = f"{PACKAGES}/jukebox-0.1.0.dist-info"


def files(tree) -> dict:
    return package_files(tree, "3.12")


def test_it_has_what_a_wheel_has(tmp_path):
    """The wheel that `pip install .` builds, by another program."""
    pytest.importorskip("flit_core", reason="flit_core builds the wheel: make setup")
    build = "import flit_core.buildapi, sys; print(flit_core.buildapi.build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, tmp_path], cwd=ROOT, check=True, capture_output=True, text=True
    )
    wheel = zipfile.ZipFile(tmp_path / done.stdout.strip())
    ours = files(ROOT)
    code = {name: wheel.read(name) for name in wheel.namelist() if ".dist-info/" not in name}
    found = {name.removeprefix(f"{PACKAGES}/"): file.data for name, file in ours.items() if "/ml/" in name}
    assert found == code
    theirs = email.message_from_bytes(wheel.read("jukebox-0.1.0.dist-info/METADATA"))
    about = email.message_from_bytes(ours[f"{INFO}/METADATA"].data)
    for field in ("Name", "Version", "Summary", "License-Expression", "License-File"):
        assert about.get_all(field) == theirs.get_all(field)
    for field in ("Provides-Extra", "Requires-Dist"):
        assert {_plain(text) for text in about.get_all(field)} == {_plain(t) for t in theirs.get_all(field)}
    for name in ("entry_points.txt", "licenses/LICENSE"):
        assert ours[f"{INFO}/{name}"].data.strip() == wheel.read(f"jukebox-0.1.0.dist-info/{name}").strip()


def _plain(text: str) -> frozenset[str]:
    """Return the words of a requirement: its marker's parts stand in another order."""
    return frozenset(text.replace("(", " ").replace(")", " ").replace(";", " ").replace(", ", ",").split())


def test_only_the_command_is_a_program(tree):
    found = files(tree)
    assert list(found) == sorted(found)
    assert [name for name, file in found.items() if file.mode != 0o644] == ["opt/jukebox/bin/jukebox"]
    script = found["opt/jukebox/bin/jukebox"]
    assert script.mode == 0o755
    assert script.data.startswith(b"#!/opt/jukebox/bin/python3\nimport sys\nfrom ml.cli.main import main\n")


def test_modes_dates_bytecode_docs_and_locks_change_nothing(tree):
    before = files(tree)
    for path in tree.rglob("*.py"):
        path.chmod(0o700)
        os.utime(path, (1, 1))
    (tree / "ml/__pycache__").mkdir()
    (tree / "ml/__pycache__/version.cpython-312.pyc").write_bytes(b"another program")
    (tree / "ml/version.pyc").write_bytes(b"another program")
    for name in ("README.md", "Containerfile", "requirements/tools.txt"):
        (tree / name).write_text("changed\n")
    assert files(tree) == before


@pytest.mark.parametrize("name", ["ml/core/version.py", "ml/image/new.txt", "LICENSE", "pyproject.toml"])
def test_what_is_installed_changes_it(tree, name):
    before = files(tree)
    with open(tree / name, "a") as file:
        file.write("\n[tool.other]\n")
    with open(tree / "pyproject.toml") as file:
        text = file.read()
    (tree / "pyproject.toml").write_text(text.replace('version = "0.1.0"', 'version = "0.1.1"'))
    assert files(tree) != before


@pytest.mark.parametrize(
    "linked", ["ml/secret.txt", "ml/core/version.py", "LICENSE", "pyproject.toml", "ml/folder", "ml"]
)
def test_a_link_is_refused(tree, tmp_path, linked):
    """What it leads to would be in the image: the credential of whoever assembles it."""
    secret = tmp_path / "config.json"
    secret.write_text("canary")
    if linked == "ml":
        (tree / "ml").rename(tmp_path / "elsewhere")
    (tree / linked).unlink(missing_ok=True)
    (tree / linked).symlink_to(tmp_path / "elsewhere" if linked == "ml" else secret)
    with pytest.raises(UsageError, match="is a link, or reached through one"):
        files(tree)


@pytest.mark.parametrize("name", [".wh.__init__.py", "model/.wh..wh..opq", ".wh.data/kept.py"])
def test_a_name_that_removes_files_of_the_layers_below_is_refused(tree, name):
    (tree / "ml" / name).parent.mkdir(exist_ok=True)
    (tree / "ml" / name).touch()
    with pytest.raises(UsageError, match=r"begins with \.wh\. removes files from an image"):
        files(tree)


def test_a_link_to_a_folder_is_refused(tree, tmp_path):
    (tmp_path / "secrets").mkdir()
    (tree / "ml/secrets").symlink_to(tmp_path / "secrets")
    with pytest.raises(UsageError, match="is a link"):
        files(tree)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name = "jukebox"', ""),
        ('name = "jukebox"', 'name = "../../bin"'),
        ('version = "0.1.0"', 'version = "1/2"'),
        ('version = "0.1.0"', 'dynamic = ["version"]'),
        ('jukebox = "ml.cli.main:main"', 'jukebox = "ml.cli"'),
        ('jukebox = "ml.cli.main:main"', 'jukebox = "os:system(1)"'),
        ("[project]", "[project"),
    ],
)
def test_what_describes_no_package_is_refused(tree, old, new):
    text = (tree / "pyproject.toml").read_text()
    assert text.count(old) == 1
    (tree / "pyproject.toml").write_text(text.replace(old, new))
    with pytest.raises(UsageError, match="does not describe a package") as caught:
        files(tree)
    assert "\n" not in str(caught.value)


def test_the_stage_of_the_containerfile_writes_these_files(tmp_path):
    """With the Python that is there, and nothing but the standard library."""
    command = [sys.executable, "-IS", "-c", f"import sys; sys.path.insert(0, '.'); {RUN}", tmp_path]
    subprocess.run(command, cwd=ROOT, check=True, umask=0o022)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    expected = {name: (file.mode, file.data) for name, file in package_files(ROOT, python).items()}
    written = {
        str(path.relative_to(tmp_path)): (path.stat().st_mode & 0o777, path.read_bytes())
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    assert written == expected


RUN = "import runpy; runpy.run_module('ml.image.package', run_name='__main__')"


def test_the_metadata_is_found_by_python(tmp_path):
    for name, file in files(ROOT).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.data)
    look = (
        "import importlib.metadata as m, json, sys; d = m.Distribution.at(sys.argv[1]);"
        "print(json.dumps([d.metadata['Name'], d.version, [e.value for e in d.entry_points]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", look, tmp_path / INFO], check=True, capture_output=True, text=True
    )
    assert json.loads(done.stdout) == ["jukebox", "0.1.0", ["ml.cli.main:main"]]

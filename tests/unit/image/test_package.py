"""The package as files: the same as a wheel, independent of the machine, and without links."""

import os
import subprocess
import sys
import zipfile
from email import message_from_bytes

import pytest
from checkouts import ROOT, append, files_in

from ml.core.errors import UsageError
from ml.image.package import package_files, write_package

PACKAGES = "opt/jukebox/lib/python3.12/site-packages"
INFO = "jukebox-0.1.0.dist-info"
FIELDS = "Name Version Summary License-Expression License-File Provides-Extra Requires-Dist".split()


def words(field: str) -> frozenset[str]:
    """Return the words of a field: another builder writes the parts of a marker in another order."""
    return frozenset(field.translate(str.maketrans("();", "   ")).replace(", ", ",").split())


def test_it_is_what_a_wheel_of_flit_has(tmp_path):
    build = "import flit_core.buildapi, sys; print(flit_core.buildapi.build_wheel(sys.argv[1]))"
    command = [sys.executable, "-c", build, tmp_path]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    with zipfile.ZipFile(tmp_path / done.stdout.strip()) as wheel:
        theirs = {name: wheel.read(name) for name in wheel.namelist()}
    files = package_files(ROOT, "3.12")
    ours = {name.removeprefix(f"{PACKAGES}/"): file.data for name, file in files.items()}
    code = {name: data for name, data in theirs.items() if ".dist-info/" not in name}
    assert {name: data for name, data in ours.items() if name.startswith("ml/")} == code
    first, second = (message_from_bytes(each[f"{INFO}/METADATA"]) for each in (ours, theirs))
    for field in FIELDS:
        assert set(map(words, first.get_all(field))) == set(map(words, second.get_all(field)))
    for name in ("entry_points.txt", "licenses/LICENSE"):
        assert ours[f"{INFO}/{name}"].strip() == theirs[f"{INFO}/{name}"].strip()
    assert list(files) == sorted(files)
    command = "opt/jukebox/bin/jukebox"
    assert {name: file.mode for name, file in files.items() if file.mode != 0o644} == {command: 0o755}
    script = b"#!/opt/jukebox/bin/python3\nimport sys\nfrom ml.cli.main import main\n"
    assert files[command].data.startswith(script)


def test_modes_dates_bytecode_docs_and_locks_change_nothing(tree):
    before = package_files(tree, "3.12")
    for path in tree.rglob("*.py"):
        path.chmod(0o700)
        os.utime(path, (1, 1))
    for name in ("ml/__pycache__/a.txt", "ml/a.pyc", "README.md", "requirements/tools.txt"):
        append(tree / name)
    assert package_files(tree, "3.12") == before


@pytest.mark.parametrize("linked", ["ml/secret", "ml/core/version.py", "LICENSE", "pyproject.toml", "ml"])
@pytest.mark.parametrize("target", ["/etc", "/etc/hostname"])
def test_a_link_is_refused(tree, linked, target):
    if (tree / linked).exists():
        (tree / linked).rename(tree / "folder")
    (tree / linked).symlink_to(tree / "folder" if linked == "ml" else target)
    with pytest.raises(UsageError, match="is a link, or reached through one"):
        package_files(tree, "3.12")


@pytest.mark.parametrize("name", [".wh.__init__.py", "model/.wh..wh..opq", ".wh.data/kept.py"])
def test_a_whiteout_is_refused(tree, name):
    append(tree / "ml" / name)
    with pytest.raises(UsageError, match=r"begins with \.wh\. removes files from an image"):
        package_files(tree, "3.12")


NAME, POINT = 'name = "jukebox"', 'jukebox = "ml.cli.main:main"'
CHANGES = [(NAME, ""), (NAME, 'name = "../../bin"'), ('version = "0.1.0"', 'version = "1/2"')]
CHANGES += [
    (POINT, 'jukebox = "os:system(1)"'),
    (POINT, '"../x" = "ml.cli.main:main"'),
    ("[project]", "[project"),
]


@pytest.mark.parametrize(("old", "new"), CHANGES)
def test_a_description_that_is_not_valid_is_refused(tree, old, new):
    text = (tree / "pyproject.toml").read_text()
    assert text.count(old) == 1
    (tree / "pyproject.toml").write_text(text.replace(old, new))
    with pytest.raises(UsageError, match=r"^[^\n]*does not describe a package[^\n]*$"):
        package_files(tree, "3.12")


def test_the_containerfile_writes_these_files_with_the_standard_library_only(tmp_path, monkeypatch):
    run = "import runpy, sys; sys.path[:0] = ['.']; runpy.run_module('ml.image.package', run_name='__main__')"
    subprocess.run([sys.executable, "-IS", "-c", run, tmp_path / "a"], cwd=ROOT, check=True, umask=0o022)
    monkeypatch.chdir(ROOT)
    write_package(tmp_path / "b")
    expected = package_files(ROOT, f"{sys.version_info.major}.{sys.version_info.minor}")
    for root in (tmp_path / "a", tmp_path / "b"):
        assert files_in(root) == {name: file.data for name, file in expected.items()}
        assert all((root / name).stat().st_mode & 0o777 == file.mode for name, file in expected.items())

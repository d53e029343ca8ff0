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


def files(tree) -> dict:
    return package_files(tree, "3.12")


def words(field: str) -> frozenset[str]:
    """Return the words of a field: another builder writes the parts of a marker in another order."""
    return frozenset(field.translate(str.maketrans("();", "   ")).replace(", ", ",").split())


def test_it_is_what_a_wheel_of_flit_has(tmp_path):
    pytest.importorskip("flit_core", reason="flit_core builds the wheel: make setup")
    build = "import flit_core.buildapi, sys; print(flit_core.buildapi.build_wheel(sys.argv[1]))"
    command = [sys.executable, "-c", build, tmp_path]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    with zipfile.ZipFile(tmp_path / done.stdout.strip()) as wheel:
        theirs = {name: wheel.read(name) for name in wheel.namelist()}
    ours = {name.removeprefix(f"{PACKAGES}/"): file.data for name, file in files(ROOT).items()}
    code = {name: data for name, data in theirs.items() if ".dist-info/" not in name}
    assert {name: data for name, data in ours.items() if name.startswith("ml/")} == code
    first, second = (message_from_bytes(each[f"{INFO}/METADATA"]) for each in (ours, theirs))
    for field in FIELDS:
        assert set(map(words, first.get_all(field))) == set(map(words, second.get_all(field)))
    for name in ("entry_points.txt", "licenses/LICENSE"):
        assert ours[f"{INFO}/{name}"].strip() == theirs[f"{INFO}/{name}"].strip()


def test_the_command_is_the_only_executable(tree):
    ours = files(tree)
    assert list(ours) == sorted(ours)
    assert {name: f.mode for name, f in ours.items() if f.mode != 0o644} == {"opt/jukebox/bin/jukebox": 0o755}
    script = b"#!/opt/jukebox/bin/python3\nimport sys\nfrom ml.cli.main import main\n"
    assert ours["opt/jukebox/bin/jukebox"].data.startswith(script)


def test_modes_dates_bytecode_docs_and_locks_change_nothing(tree):
    before = files(tree)
    for path in tree.rglob("*.py"):
        path.chmod(0o700)
        os.utime(path, (1, 1))
    for name in ("ml/__pycache__/a.cpython-312.pyc", "ml/a.pyc", "README.md", "requirements/tools.txt"):
        append(tree / name)
    assert files(tree) == before


@pytest.mark.parametrize("linked", ["ml/secret", "ml/core/version.py", "LICENSE", "pyproject.toml", "ml"])
@pytest.mark.parametrize("to_folder", [True, False])
def test_a_link_is_refused(tree, tmp_path, linked, to_folder):
    (tree / "ml").rename(tmp_path / "elsewhere") if linked == "ml" else (tmp_path / "elsewhere").mkdir()
    (tree / linked).unlink(missing_ok=True)
    (tree / linked).symlink_to(tmp_path / "elsewhere" if to_folder or linked == "ml" else "/etc/hostname")
    with pytest.raises(UsageError, match="is a link, or reached through one"):
        files(tree)


@pytest.mark.parametrize("name", [".wh.__init__.py", "model/.wh..wh..opq", ".wh.data/kept.py"])
def test_a_whiteout_is_refused(tree, name):
    append(tree / "ml" / name)
    with pytest.raises(UsageError, match=r"begins with \.wh\. removes files from an image"):
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
        ('jukebox = "ml.cli.main:main"', '"../x" = "ml.cli.main:main"'),
        ("[project]", "[project"),
    ],
)
def test_a_description_that_is_not_valid_is_refused(tree, old, new):
    text = (tree / "pyproject.toml").read_text()
    assert text.count(old) == 1
    (tree / "pyproject.toml").write_text(text.replace(old, new))
    with pytest.raises(UsageError, match="does not describe a package") as caught:
        files(tree)
    assert "\n" not in str(caught.value)


def test_the_containerfile_writes_these_files_with_the_standard_library_only(tmp_path, monkeypatch):
    run = "import runpy, sys; sys.path[:0] = ['.']; runpy.run_module('ml.image.package', run_name='__main__')"
    subprocess.run([sys.executable, "-IS", "-c", run, tmp_path / "a"], cwd=ROOT, check=True, umask=0o022)
    monkeypatch.chdir(ROOT)
    write_package(tmp_path / "b")
    expected = package_files(ROOT, f"{sys.version_info.major}.{sys.version_info.minor}")
    for root in (tmp_path / "a", tmp_path / "b"):
        assert files_in(root) == {name: file.data for name, file in expected.items()}
        assert all((root / name).stat().st_mode & 0o777 == file.mode for name, file in expected.items())

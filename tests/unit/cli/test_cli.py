"""The command itself: its version and help, how it ends, and what it says where something is lacking."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from command import COMMAND, called
from messages import verbs
from processes import assert_one_line

from ml.cli import main as cli
from ml.core.errors import ReaderGone

SCRIPT = """
import sys
sys.modules["kfp"] = None
from ml.cli.main import main
main()
"""


def run(*arguments, cwd):
    command = [sys.executable, "-c", SCRIPT, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_a_package_that_is_not_installed_is_named_in_one_line(tmp_path):
    line = assert_one_line(run("compile", "-o", "p.yaml", cwd=tmp_path), 2)
    assert "this needs kfp, which is not installed here" in line
    assert not (tmp_path / "p.yaml").exists()


def test_a_module_of_ours_that_is_missing_is_a_defect_and_shows_as_one(tmp_path):
    script = SCRIPT.replace('"kfp"', '"ml.pipeline.compiler"')
    command = [sys.executable, "-c", script, "compile", "-o", "p.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Traceback" in done.stderr


@pytest.mark.parametrize(
    ("version", "shown"),
    [
        (("a" * 40, True), f", commit {'a' * 40}+dirty"),
        (("unknown", True), ""),
    ],
)
def test_the_version_says_which_commit_where_that_is_known(monkeypatch, tmp_path, version, shown):
    monkeypatch.setattr(cli, "code_version", lambda: version)
    done = called("--version", cwd=tmp_path)
    project = tomllib.loads((Path(cli.__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert (done.returncode, done.stdout, done.stderr) == (0, f"jukebox {project['version']}{shown}\n", "")


@pytest.mark.parametrize("path", verbs(), ids=" ".join)
def test_h_is_help_everywhere(tmp_path, path):
    short, long = (called(*path, flag, cwd=tmp_path) for flag in ("-h", "--help"))
    assert (short.returncode, short.stderr) == (0, "")
    assert short.stdout == long.stdout
    assert f"Usage: {' '.join(('jukebox', *path))}" in short.stdout


def test_wrong_use_names_the_help_of_the_verb(tmp_path):
    line = assert_one_line(called("policy", "explain", "--none", cwd=tmp_path), 2)
    assert line.endswith("; see `jukebox policy explain --help`")


def test_a_pipe_that_is_closed_ends_the_process_without_a_word(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*COMMAND, "policy", "explain"],
            stdout=writing,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            text=True,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (ReaderGone.exit_code, "")

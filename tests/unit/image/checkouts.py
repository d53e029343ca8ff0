"""Repositories to build from, and building from them with the command."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from command import called

from ml.image.key import base_digest, default_base, dependencies, keyed_files

ROOT = Path(__file__).parents[3]
DATE = "2026-01-02T03:04:05+01:00"


def git(folder: Path, *arguments: str) -> str:
    """Run git, at a date that is always the same; where there is none, the test is skipped."""
    if not shutil.which("git"):
        pytest.skip("no git; install it: apt-get install git")
    env = {**os.environ, "GIT_AUTHOR_DATE": DATE, "GIT_COMMITTER_DATE": DATE}
    command = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout.strip()


def commit_all(folder: Path) -> str:
    """Commit a folder's files, in a repository that is made if need be."""
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "x")
    return git(folder, "rev-parse", "HEAD")


def build(checkout: Path, *arguments: object, both: bool = False, **env: str):
    """Build the component, or both images."""
    target = [] if both else ["--target", "component"]
    return called("image-build", *target, *arguments, cwd=checkout, env=env)


def passed(done: subprocess.CompletedProcess) -> str:
    """Check that a command passed, and return what it said."""
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def dependencies_of(checkout: Path, repository: str = "localhost/jukebox") -> str:
    """Name the component's dependencies."""
    key = dependencies(keyed_files(checkout), "3.12", base_digest(default_base(checkout))).key
    return f"{repository}/component-dependencies:{key}"

"""Repositories to build from, and the verbs of Tekton's Tasks on them."""

import os
import subprocess
from pathlib import Path

from command import called

from ml.image.key import base_digest, default_base, dependencies, keyed_files

ROOT = Path(__file__).parents[3]
DATE = "2026-01-02T03:04:05+01:00"


def git(folder: Path, *arguments: str) -> str:
    """Run git with a fixed date."""
    env = {**os.environ, "GIT_AUTHOR_DATE": DATE, "GIT_COMMITTER_DATE": DATE}
    command = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout.strip()


def commit_all(folder: Path) -> str:
    """Commit all files of a folder, which becomes a repository, and return the hash."""
    for command in (("init", "-q"), ("add", "."), ("commit", "-qm", "x")):
        git(folder, *command)
    return git(folder, "rev-parse", "HEAD")


def append(path: Path, text: str = "\n# changed\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as file:
        file.write(text)


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def key_of(tree: Path, python: str = "3.12", base: str = "") -> str:
    return dependencies(keyed_files(tree), python, base_digest(base or default_base(tree))).key


def task(tree: Path, verb: str, *options: object, **env: str):
    """Call a verb as its Task does: with variables, and from the folder around the tree."""
    home = tree.parent
    env = {"JUKEBOX_RESULTS_DIR": f"{home}/results", "REGISTRY_AUTH_FILE": f"{home}/config.json", **env}
    return called("ci", verb, *options, cwd=home, env={"JUKEBOX_REGISTRY_TLS": "false", **env})


def results(tree: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (tree.parent / "results").glob("*")}

"""The Task fetch-source on a real repository: what it checks out, and that what is not there ends it."""

import shutil
import subprocess

import pytest
from tekton.harness import TaskEnd, World, execute
from tekton.manifests import TEKTON, load

PARAMS = {"git-image": "git", "revision": "$(params.revision)"}


@pytest.fixture
def repository(tmp_path):
    """A repository with one commit on main, and the commit."""
    if not shutil.which("git"):
        pytest.skip("no git; install it: apt-get install git")
    folder = tmp_path / "repository"
    git = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "init", "-q", "-b", "main", str(folder)], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "a subject"], check=True)
    done = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return folder, done.stdout.strip()


def fetch(repository, revision: str) -> TaskEnd:
    """Run the Task in a Pipeline of its own."""
    params = [{"name": name, "value": value} for name, value in PARAMS.items()]
    task = {
        "name": "fetch-source",
        "taskRef": {"name": "fetch-source"},
        "params": [*params, {"name": "repository-url", "value": str(repository)}],
        "workspaces": [{"name": "shared", "workspace": "shared"}],
    }
    spec = {"params": [{"name": "revision"}], "tasks": [task], "finally": []}
    pipeline = {"kind": "Pipeline", "metadata": {"name": "p"}, "spec": spec}
    objects = [*load(TEKTON / "tasks" / "fetch-source.yaml"), pipeline]
    run = {
        "pipelineRef": {"name": "p"},
        "params": [{"name": "revision", "value": revision}],
        "workspaces": [{"name": "shared", "volumeClaimTemplate": {}}],
        "taskRunSpecs": [],
    }
    return execute(World(repository.parent, objects, {}, {}), run, "run").tasks["fetch-source"]


def test_a_branch_and_a_commit_are_checked_out(repository):
    folder, commit = repository
    for revision in ("main", commit):
        end = fetch(folder, revision)
        assert (end.status, end.log) == ("Succeeded", f"{commit} a subject\n")
        assert end.results["COMMIT"] == end.results["CHAINS-GIT_COMMIT"] == commit
        assert end.results["CHAINS-GIT_URL"] == str(folder)
        assert (folder.parent / "run" / "shared" / "source" / ".git" / "HEAD").read_text() == f"{commit}\n"


@pytest.mark.parametrize("revision", ["nowhere", "0" * 40])
def test_a_revision_that_is_not_there_ends_the_task(repository, revision):
    end = fetch(repository[0], revision)
    assert (end.status, end.results) == ("Failed", {})
    assert revision in end.log
    assert "unknown revision" not in end.log, "nothing goes on after the fetch has failed"


def test_a_repository_that_is_not_there_ends_the_task(repository):
    end = fetch(repository[0].parent / "none", "main")
    assert (end.status, end.results) == ("Failed", {})

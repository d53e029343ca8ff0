"""The Task fetch-source on a real repository: what it checks out, and that what is not there ends it."""

import shutil
import subprocess

import pytest
from tekton.harness import TaskEnd, World, execute
from tekton.manifests import TEKTON, load

PARAMS = {"git-image": "git", "revision": "$(params.revision)", "head-of": "$(params.head-of)"}


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


def fetch(repository, revision: str, head_of: str = "") -> TaskEnd:
    """Run the Task in a Pipeline of its own."""
    params = [{"name": name, "value": value} for name, value in PARAMS.items()]
    task = {
        "name": "fetch-source",
        "taskRef": {"name": "fetch-source"},
        "params": [*params, {"name": "repository-url", "value": str(repository)}],
        "workspaces": [
            {"name": "shared", "workspace": "shared", "subPath": "commit"},
            {"name": "outcome", "workspace": "shared", "subPath": "outcome"},
        ],
    }
    spec = {"params": [{"name": "revision"}, {"name": "head-of"}], "tasks": [task], "finally": []}
    pipeline = {"kind": "Pipeline", "metadata": {"name": "p"}, "spec": spec}
    objects = [*load(TEKTON / "tasks" / "fetch-source.yaml"), pipeline]
    run = {
        "pipelineRef": {"name": "p"},
        "params": [{"name": "revision", "value": revision}, {"name": "head-of", "value": head_of}],
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
        shared = folder.parent / "run" / "shared"
        assert (shared / "commit" / "source" / ".git" / "HEAD").read_text() == f"{commit}\n"
        assert (shared / "outcome" / "commit").read_text() == commit


def later(folder) -> str:
    git = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "another"], check=True)
    return subprocess.run(
        [*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_the_head_of_a_branch_is_checked_out_as_that(repository):
    folder, commit = repository
    for revision in (commit, "main"):
        end = fetch(folder, revision, "refs/heads/main")
        assert (end.status, end.results.get("COMMIT")) == ("Succeeded", commit), end.log


def test_a_push_that_is_sent_again_after_a_later_one_is_refused(repository):
    folder, commit = repository
    newest = later(folder)
    end = fetch(folder, commit, "refs/heads/main")
    assert (end.status, end.results) == ("Failed", {})
    assert f"refs/heads/main is not {commit}" in end.log
    assert not (folder.parent / "run" / "shared" / "outcome" / "commit").exists()
    assert fetch(folder, newest, "refs/heads/main").status == "Succeeded"
    # By hand any commit is built.
    assert fetch(folder, commit).results["COMMIT"] == commit


def test_a_commit_of_another_branch_is_not_the_head_of_this_one(repository):
    folder, commit = repository
    subprocess.run(["git", "-C", str(folder), "checkout", "-q", "-b", "other"], check=True)
    other = later(folder)
    assert fetch(folder, other, "refs/heads/main").status == "Failed"
    assert fetch(folder, other, "refs/heads/other").status == "Succeeded"
    assert fetch(folder, commit, "refs/heads/gone").status == "Failed"


def test_a_subject_does_not_reach_the_terminal(repository):
    folder, _ = repository
    git = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "a\x1b]0;b\x07c"], check=True)
    assert fetch(folder, "main").log.endswith(" a]0;bc\n")


@pytest.mark.parametrize("revision", ["nowhere", "0" * 40])
def test_a_revision_that_is_not_there_ends_the_task(repository, revision):
    end = fetch(repository[0], revision)
    assert (end.status, end.results) == ("Failed", {})
    assert revision in end.log
    assert "unknown revision" not in end.log, "nothing goes on after the fetch has failed"


def test_a_repository_that_is_not_there_ends_the_task(repository):
    end = fetch(repository[0].parent / "none", "main")
    assert (end.status, end.results) == ("Failed", {})

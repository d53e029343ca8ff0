"""The Task fetch-source on a real repository: what it checks out, and what it refuses."""

import subprocess

import pytest
from tekton.harness import TaskEnd, World, execute_task
from tekton.manifests import files
from tekton.world import git, lacking

MAIN = "refs/heads/main"


@pytest.fixture
def repository(tmp_path):
    """A repository with one commit on main."""
    if lacking("git"):
        pytest.skip("no git; install it: apt-get install git")
    folder = tmp_path / "repository"
    subprocess.run(["git", "init", "-q", "-b", "main", str(folder)], check=True)
    commit(folder, "a subject")
    return folder


def commit(folder, subject: str) -> str:
    git(folder, "commit", "-q", "--allow-empty", "-m", subject)
    return git(folder, "rev-parse", "HEAD")


def fetch(repository, revision: str, head_of: str = "") -> TaskEnd:
    world = World(repository.parent, files("tasks"), {}, {})
    given = {"repository_url": str(repository), "revision": revision, "head_of": head_of}
    return execute_task(world, "fetch-source", "run", **given)


@pytest.mark.parametrize("head_of", ["", MAIN])
def test_a_branch_and_a_commit_are_checked_out(repository, head_of):
    head = git(repository, "rev-parse", "HEAD")
    for revision in ("main", head):
        end = fetch(repository, revision, head_of)
        assert (end.status, end.log) == ("Succeeded", f"{head} a subject\n")
        assert end.results["COMMIT"] == end.results["CHAINS-GIT_COMMIT"] == head
        assert end.results["CHAINS-GIT_URL"] == str(repository)
        shared = repository.parent / "run" / "shared"
        assert (shared / "commit" / "source" / ".git" / "HEAD").read_text() == f"{head}\n"
        assert (shared / "outcome" / "commit").read_text() == head


def refused(end: TaskEnd, said: str = "") -> None:
    assert (end.status, end.results) == ("Failed", {})
    assert said in end.log
    assert "unknown revision" not in end.log, "nothing goes on after the fetch has failed"


def test_a_replayed_push_is_refused_after_a_later_one(repository):
    old = git(repository, "rev-parse", "HEAD")
    newest = commit(repository, "another")
    refused(fetch(repository, old, MAIN), f"{MAIN} is not {old}")
    assert not (repository.parent / "run" / "shared" / "outcome" / "commit").exists()
    assert fetch(repository, newest, MAIN).results["COMMIT"] == newest
    # By hand any commit is built.
    assert fetch(repository, old).results["COMMIT"] == old


def test_a_commit_of_another_branch_is_not_the_head_of_this_one(repository):
    old = git(repository, "rev-parse", "HEAD")
    git(repository, "checkout", "-q", "-b", "other")
    other = commit(repository, "another")
    refused(fetch(repository, other, MAIN))
    refused(fetch(repository, old, "refs/heads/gone"))
    assert fetch(repository, other, "refs/heads/other").results["COMMIT"] == other


def test_an_object_that_only_leads_to_a_commit_is_refused(repository):
    git(repository, "tag", "-a", "-m", "x", "annotated")
    tag = git(repository, "rev-parse", "annotated")
    refused(fetch(repository, tag), f"not {tag}")


def test_a_subject_does_not_reach_the_terminal(repository):
    commit(repository, "a\x1b]0;b\x07c")
    assert fetch(repository, "main").log.endswith(" a]0;bc\n")


def test_what_is_not_there_ends_the_task(repository):
    for revision in ("nowhere", "0" * 40):
        refused(fetch(repository, revision), revision)
    refused(fetch(repository.parent / "none", "main"))

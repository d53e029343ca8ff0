"""The Task fetch-source on a real repository: what it checks out, and what it refuses."""

import pytest
from tekton.harness import TaskEnd, World, execute_task
from tekton.manifests import files
from tekton.world import git

MAIN = "refs/heads/main"


@pytest.fixture
def repository(tmp_path):
    """A repository with one commit on main."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    commit(folder, "a subject")
    return folder


def commit(folder, subject: str) -> str:
    git(folder, "commit", "-q", "--allow-empty", "-m", subject)
    return git(folder, "rev-parse", "HEAD")


def fetch(repository, revision: str, head_of: str = "") -> TaskEnd:
    world = World(repository.parent, files("tasks"), {}, {})
    given = {"repository_url": str(repository), "revision": revision, "head_of": head_of}
    return execute_task(world, "fetch-source", "run", **given)


def refused(end: TaskEnd, said: str = "") -> None:
    assert (end.status, end.results) == ("Failed", {})
    assert said in end.log
    assert "unknown revision" not in end.log, "nothing goes on after the fetch has failed"


@pytest.mark.parametrize("head_of", ["", MAIN])
def test_a_branch_and_a_commit_are_checked_out(repository, head_of):
    """The subject does not reach the terminal as it is."""
    head = commit(repository, "a\x1b]0;b\x07c")
    dates = git(repository, "log", "-1", "--format=%ct %cI").split()
    for revision in ("main", head):
        end = fetch(repository, revision, head_of)
        assert (end.status, end.log) == ("Succeeded", f"{head} a]0;bc\n")
        names = ("COMMIT", "CHAINS-GIT_COMMIT", "CHAINS-GIT_URL", "COMMITTED_AT", "CREATED")
        assert end.results == dict(zip(names, (head, head, str(repository), *dates), strict=True))
        shared = repository.parent / "run" / "shared"
        assert (shared / "commit" / "source" / ".git" / "HEAD").read_text() == f"{head}\n"
        assert (shared / "outcome" / "commit").read_text() == head


def test_a_replayed_push_is_refused_after_a_later_one(repository):
    old = git(repository, "rev-parse", "HEAD")
    commit(repository, "another")
    refused(fetch(repository, old, MAIN), f"{MAIN} is not {old}")
    assert not (repository.parent / "run" / "shared" / "outcome" / "commit").exists()
    # By hand any commit is built.
    assert fetch(repository, old).results["COMMIT"] == old


def test_a_commit_of_another_branch_is_not_the_head_of_this_one(repository):
    git(repository, "checkout", "-q", "-b", "other")
    other = commit(repository, "another")
    refused(fetch(repository, other, MAIN))
    assert fetch(repository, other, "refs/heads/other").results["COMMIT"] == other


def test_what_is_not_there_or_only_leads_to_a_commit_ends_the_task(repository):
    git(repository, "tag", "-a", "-m", "x", "annotated")
    for revision in ("nowhere", "0" * 40, git(repository, "rev-parse", "annotated")):
        refused(fetch(repository, revision), revision)
    refused(fetch(repository, "main", "refs/heads/gone"))

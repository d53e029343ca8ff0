"""Which pushes start which runs, and that every other event of a forge starts none."""

import pytest
from tekton.events import deliver, event, recorded, started
from tekton.run_checks import (
    HOSTILE,
    JUNK,
    ODD,
    changed,
    clauses,
    harmless,
    needed,
    the_run,
    without_interceptor,
)
from tiers import sampled

COMMIT = "1a2b3c4d5e" * 4
RUN = ("push-1a2b3c4d5e1a2b3c4d5e", "push", COMMIT, "push of 1a2b3c4d5e1a to refs/heads/main")
GITHUB, GITLAB = recorded("github-push"), recorded("gitlab-push")
ZERO = "0" * 40


@pytest.mark.parametrize("name", ["github-push", "gitea-push", "gitlab-push"])
def test_a_push_starts_a_run_of_its_commit(name):
    headers, body = recorded(name)
    assert the_run(event(headers, body)) == RUN
    # The branch has moved on, and the delivery is repeated: the same name, which is taken.
    assert (
        the_run(event({**headers, "X-GitHub-Delivery": "again"} if "hub" in name else headers, body)) == RUN
    )


@pytest.mark.parametrize("body", [GITHUB, GITLAB])
def test_another_commit_is_another_run(body):
    headers, sent = body
    assert the_run(event(headers, {**sent, "after": "9f8e7d6c5b" * 4}))[0] == "push-9f8e7d6c5b9f8e7d6c5b"


@pytest.mark.parametrize(
    ("name", "trigger", "by"),
    [
        ("github-push-branch", "push", "wanted"),
        ("github-tag", "push", "wanted"),
        ("github-delete", "push", "wanted"),
        ("github-fork", "push", "wanted"),
        ("github-pull-request", "push", "signature"),
        ("github-ping", "push", "signature"),
        ("gitlab-push-branch", "push-gitlab", "wanted"),
        ("gitlab-tag", "push-gitlab", "signature"),
        ("gitlab-delete", "push-gitlab", "wanted"),
        ("gitlab-fork", "push-gitlab", "wanted"),
        ("gitlab-merge-request", "push-gitlab", "signature"),
    ],
)
def test_other_events_start_none(name, trigger, by):
    sent = event(*recorded(name))
    assert started(sent) == []
    assert deliver(sent)[trigger].by == by


@pytest.mark.parametrize(
    "ref", ["refs/heads/mai", "refs/heads/main2", "refs/heads/", "main", "refs/heads/main\n"]
)
@pytest.mark.parametrize("body", [GITHUB, GITLAB])
def test_a_branch_is_meant_whole(body, ref):
    headers, sent = body
    assert started(event(headers, {**sent, "ref": ref})) == []


# What only one clause refuses.
REFUSED = {
    "body.after.matches('^[0-9a-f]{40}$')": ("after", "$(rm)"),
    "!body.after.matches('^0+$')": ("after", ZERO),
    "extensions.branches.exists(branch, body.ref == 'refs/heads/' + branch)": ("ref", "refs/tags/main"),
    "body.repository.clone_url == extensions.repository": ("repository.clone_url", "https://evil"),
    "body.project.git_http_url == extensions.repository": ("project.git_http_url", "https://evil"),
}


@pytest.mark.parametrize(("trigger", "interceptor", "clause", "without"), [*clauses("push", "push-gitlab")])
def test_each_clause_is_needed(trigger, interceptor, clause, without):
    headers, body = GITHUB if trigger == "push" else GITLAB
    needed(trigger, interceptor, without, event(headers, changed(body, *REFUSED[clause])))


@pytest.mark.parametrize(
    ("trigger", "headers", "body"),
    [
        ("push", {**GITHUB[0], "X-Hub-Signature-256": "sha256=" + "0" * 64}, GITHUB[1]),
        ("push", {**GITHUB[0], "X-Hub-Signature-256": ""}, GITHUB[1]),
        ("push", {**GITHUB[0], "X-GitHub-Event": "pull_request"}, GITHUB[1]),
        ("push-gitlab", {**GITLAB[0], "X-Gitlab-Token": "no"}, GITLAB[1]),
        ("push-gitlab", {**GITLAB[0], "X-Gitlab-Token": ""}, GITLAB[1]),
        ("push-gitlab", {**GITLAB[0], "X-Gitlab-Event": "System Hook"}, GITLAB[1]),
    ],
)
def test_only_the_signature_stops_what_is_forged(trigger, headers, body):
    sent = event(headers, body)
    assert started(sent) == []
    assert deliver(sent)[trigger].by == "signature"
    assert started(sent, without_interceptor(trigger, "signature"))


def test_a_signature_is_of_this_body():
    signed = event(*GITHUB)
    assert started(event(dict(signed.headers), {**GITHUB[1], "after": "9f8e7d6c5b" * 4})) == []


def test_several_branches(monkeypatch):
    specs = without_interceptor("push", "none")
    settings = next(found for found in specs["push"]["interceptors"] if found["name"] == "settings")
    overlay = next(found for found in settings["params"][0]["value"] if found["key"] == "branches")
    overlay["expression"] = "'main,release'.split(',')"
    for ref, runs in [("main", 1), ("release", 1), ("main,release", 0), ("releas", 0)]:
        assert len(started(event(GITHUB[0], {**GITHUB[1], "ref": f"refs/heads/{ref}"}), specs)) == runs


PATHS = ["after", "before", "ref", "commits.0.message", "commits.0.id"]


@pytest.mark.parametrize("value", sampled([*HOSTILE, *ODD], every=6), ids=lambda value: repr(value)[:20])
@pytest.mark.parametrize("path", [*PATHS, "repository.clone_url", "repository.full_name", "pusher.name"])
def test_nothing_hostile_comes_through_by_github(path, value):
    harmless(*GITHUB, path, value)


@pytest.mark.parametrize("value", sampled([*HOSTILE, *ODD], every=6), ids=lambda value: repr(value)[:20])
@pytest.mark.parametrize("path", [*PATHS, "project.git_http_url", "user_name", "checkout_sha"])
def test_nothing_hostile_comes_through_by_gitlab(path, value):
    harmless(*GITLAB, path, value)


@pytest.mark.parametrize("suffix", ["\n", " ", "$(x)", ";id", "\x00", "a"])
@pytest.mark.parametrize("body", [GITHUB, GITLAB])
def test_nothing_hangs_on_to_a_commit(body, suffix):
    headers, sent = body
    assert started(event(headers, {**sent, "after": COMMIT + suffix})) == []


@pytest.mark.parametrize("data", JUNK, ids=lambda data: repr(data[:10]))
@pytest.mark.parametrize("headers", [GITHUB[0], GITLAB[0]])
def test_junk_starts_none(headers, data):
    assert started(event(headers, data)) == []

"""`jukebox ci report`: what it prints, what it sends, and that the token is shown nowhere."""

import json

import pytest
from command import called
from forges import COMMIT, LINK, REPOSITORY, TOKEN
from processes import assert_one_line

ALL = "fetch-source=Succeeded lint=Succeeded submit-run=Succeeded promote=Succeeded"
BLOCKED = "fetch-source=Succeeded lint=Succeeded submit-run=Failed promote=None"
REFUSED = ALL.replace("promote=Succeeded", "promote=Failed")
PASSES = {"name": "data.rows", "passed": True, "reason": "", "value": 1.0, "bound": 1.0, "relation": ">="}
KNOWN = {"exit_code": 0, "link": LINK, "checks": [PASSES, PASSES], "run_id": "1"}
PROMOTED = "promoted: 2 of 2 checks pass"
HOSTILE = "\x1b]0;owned\x07\x1b[31mred\x1b[0m\nsecond [bold]line[/] \ud800\u2028:smile:"
TAME = "]0;owned [31mred [0m second [bold]line[/] :smile:"


@pytest.fixture
def report(tmp_path, api):
    """Return a function that reports as the Task does, in an image of another commit."""

    def run(tasks=ALL, *options: object, commit=COMMIT, files=None, **env: str):
        for name, content in (files or {}).items():
            (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
        variables = {"TASKS": tasks, "COMMIT": "f" * 40, "REPOSITORY_URL": REPOSITORY, "API": api.url}
        variables |= {"OUTCOME": f"{tmp_path}/submit:{tmp_path}/judge:{tmp_path}/promote"}
        variables |= {"REPORT_TOKEN": TOKEN, **env}
        env = {f"JUKEBOX_{name}": value for name, value in variables.items()}
        done = called("ci", "report", "--commit", commit, *options, cwd=tmp_path, env=env)
        assert TOKEN not in done.stdout + done.stderr
        return done

    return run


def printed(done) -> list[str]:
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_a_promotion_is_printed_and_sent(report, api):
    told = f"github: jukebox of {COMMIT[:12]} is set to success"
    assert printed(report(files={"submit": KNOWN}, REPORT_TOKEN=f"{TOKEN}\n")) == [
        *ALL.replace("=", ": ").replace("d ", "d\n").splitlines(),
        "checks: 2 of 2 pass",
        *(f"commit: {COMMIT[:12]}", f"run: {LINK}", f"success: {PROMOTED}", told),
    ]
    (post,) = api.posts
    assert post.path == f"/repos/team/jukebox/statuses/{COMMIT}"
    assert post.headers["authorization"] == f"Bearer {TOKEN}"
    sent = {"state": "success", "description": PROMOTED, "context": "jukebox", "target_url": LINK}
    assert post.body == sent
    (line,) = printed(report(ALL, "--json"))
    shown = {"state": "success", "sentence": PROMOTED, "link": LINK, "told": told}
    assert shown.items() <= json.loads(line).items()


def test_hostile_words_are_printed_and_sent_as_one_line_each(report, api):
    check = {**PASSES, "name": f"  {HOSTILE}", "passed": False, "reason": HOSTILE}
    link = f"https://{HOSTILE}"
    known = {"exit_code": 10, "error": f"{HOSTILE} @team", "link": link, "checks": [check]}
    lines = printed(report(BLOCKED, files={"submit": known}, PROVIDER="gitlab", CONTEXT="a\x1b[1m\nb"))
    assert all(line.isprintable() for line in lines)
    assert lines[4:] == [
        "checks: 0 of 1 pass",
        f"  {TAME}: {TAME}",
        f"commit: {COMMIT[:12]}",
        f"run: https:// {TAME}",
        f"failure: {TAME} @team",
        f"gitlab: a [1m b of {COMMIT[:12]} is set to failure",
    ]
    assert api.posts[0].body == {"state": "failed", "description": f"{TAME} @ team", "name": "a\x1b[1m\nb"}


COMMITS = ["", "main", COMMIT[:12], COMMIT.upper(), f"{COMMIT}\n"]


@pytest.mark.parametrize(("commit", "token"), [(COMMIT, " \n"), *((c, TOKEN) for c in COMMITS)])
def test_without_a_token_or_a_commit_no_status_is_set(report, api, commit, token):
    ended = "fetch-source=Failed promote=None"
    lines = printed(report(ended, commit=commit, REPORT_TOKEN=token, REPOSITORY_URL="", API=""))
    assert lines[-2] == "error: fetch-source failed; nothing was promoted"
    assert lines[-1].startswith("no status was set: ")
    assert ("JUKEBOX_REPORT_TOKEN is empty" in lines[-1]) is (commit == COMMIT)
    assert api.posts == []


def test_a_refusal_comes_after_the_summary(report, api):
    api.answers = [(401, TOKEN.encode())]
    done = report(files={"submit": KNOWN})
    assert "was not set at 127.0.0.1: the forge answers 401" in assert_one_line(done, 30)
    assert done.stdout.splitlines()[-1] == f"success: {PROMOTED}"


def test_the_status_is_of_the_fetched_commit_whatever_a_file_says(report, api):
    assert "bbbbbbb" not in report(commit="a" * 64, files={"submit": {**KNOWN, "commit": "b" * 40}}).stdout
    assert (api.posts[0].path[-64:], api.posts[0].body["state"]) == ("a" * 64, "error")


JUDGED = {"exit_code": 0, "commit": COMMIT, "checks": [PASSES]}
FAILED = {"exit_code": 10, "error": "candidate abc does not pass"}
AWAY = {"exit_code": 30, "error": "no store"}
UNCHANGED = {"exit_code": 0, "unchanged": True}


@pytest.mark.parametrize(
    ("tasks", "files", "said"),
    [
        (REFUSED, {"submit": KNOWN, "judge": JUDGED}, "error: 1 of 1 checks pass, but promote refused"),
        (REFUSED, {"submit": KNOWN, "promote": AWAY}, "but promote refused or failed: no store"),
        (REFUSED, {"judge": FAILED, "promote": UNCHANGED}, "failure: candidate abc does not pass"),
        (ALL, {"submit": KNOWN, "promote": UNCHANGED}, "success: nothing to promote, this model is"),
    ],
)
def test_later_files_have_precedence_up_to_the_first_error(report, tasks, files, said):
    text = "\n".join(printed(report(tasks, files=files)))
    assert said in text
    assert (f"run: {LINK}" in text) is ("submit" in files)


BROKEN = "not what `jukebox submit --outcome` writes"


@pytest.mark.parametrize(
    ("options", "env", "said"),
    [
        (["--provider", "bitbucket"], {}, "--provider bitbucket: there are github, gitlab, gitea"),
        (["--tasks", "lint=Succeeded"], {}, "promote is missing"),
        (["--ca", "none.pem"], {}, "--ca none.pem: cannot be read; give a file of PEM certificates"),
        (["--outcome", "submit/x.json"], {}, "--outcome submit/x.json: Not a directory"),
        ([], {"REPORT_TOKEN": "canary\nmore"}, "JUKEBOX_REPORT_TOKEN: a token must have no spaces"),
        *(([], {"files": {"submit": text}}, BROKEN) for text in ("", "[]", "{}", "[" * 100_000)),
        ([], {"files": {"submit": '{"exit_code": 0, "exit_code": 10}'}}, BROKEN),
    ],
)
def test_wrong_use_is_one_line(report, api, options, env, said):
    line = assert_one_line(report(ALL, *options, **{"files": {"submit": KNOWN}, **env}), 2)
    assert said in line
    assert ("canary" in line, api.posts) == (False, [])

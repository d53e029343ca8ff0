"""`jukebox ci report`: what it prints, what it sends, and that the token is shown nowhere."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from command import COMMAND, called
from forges import COMMIT, REPOSITORY, TOKEN
from processes import assert_one_line
from servers import silent_port

ALL = "fetch-source=Succeeded lint=Succeeded submit-run=Succeeded promote=Succeeded"
BLOCKED = "fetch-source=Succeeded lint=Succeeded submit-run=Failed promote=None"
REFUSED = ALL.replace("promote=Succeeded", "promote=Failed")
LINK = "https://dspa.example/runs/1"
PASSES = {"name": "data.rows", "passed": True, "reason": "", "value": 1.0, "bound": 1.0, "relation": ">="}
PROMOTED = "promoted: 2 of 2 checks pass"
HOSTILE = "\x1b]0;owned\x07\x1b[31mred\x1b[0m\nsecond [bold]line[/] \ud800\u2028:smile:"
TAME = "]0;owned [31mred [0m second [bold]line[/] :smile:"


def report(home, api, tasks=ALL, *options: object, outcome=None, commit=COMMIT, **env: str):
    """Report as the Task does, in an image of another commit."""
    if outcome is not None:
        (home / "submit.json").write_text(outcome if isinstance(outcome, str) else json.dumps(outcome))
    variables = {
        "JUKEBOX_TASKS": tasks,
        "JUKEBOX_COMMIT": "f" * 40,
        "JUKEBOX_REPOSITORY_URL": REPOSITORY,
        "JUKEBOX_API": api.url,
        "JUKEBOX_OUTCOME": ":".join(f"{home}/{name}.json" for name in ("submit", "judge", "promote")),
        "JUKEBOX_REPORT_TOKEN": TOKEN,
    }
    done = called("ci", "report", "--commit", commit, *options, cwd=home, env={**variables, **env})
    assert TOKEN not in done.stdout + done.stderr
    return done


def printed(done) -> list[str]:
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def outcome(code=0, **more) -> dict:
    return {"exit_code": code, "link": LINK, "checks": [PASSES, PASSES], "run_id": "1", **more}


def test_a_promotion_is_printed_and_sent(tmp_path, api):
    assert printed(report(tmp_path, api, outcome=outcome())) == [
        *ALL.replace("=", ": ").replace("d ", "d\n").splitlines(),
        "checks: 2 of 2 pass",
        f"commit: {COMMIT[:12]}",
        f"run: {LINK}",
        f"success: {PROMOTED}",
        f"github: jukebox of {COMMIT[:12]} is set to success",
    ]
    assert api.post.path == f"/repos/team/jukebox/statuses/{COMMIT}"
    body = {"state": "success", "description": PROMOTED, "context": "jukebox", "target_url": LINK}
    assert api.post.body == body
    (line,) = printed(report(tmp_path, api, ALL, "--json"))
    document = json.loads(line)
    assert (document["state"], document["sentence"], document["link"]) == ("success", PROMOTED, LINK)
    assert document["tasks"]["promote"] == "Succeeded"
    assert [check["name"] for check in document["checks"]] == ["data.rows"] * 2
    assert document["told"] == f"github: jukebox of {COMMIT[:12]} is set to success"


@pytest.mark.parametrize("provider", ["github", "gitlab", "gitea"])
def test_hostile_words_are_printed_and_sent_as_one_line_each(tmp_path, api, provider):
    check = {**PASSES, "name": f"  {HOSTILE}", "passed": False, "reason": HOSTILE}
    known = outcome(10, error=f"{HOSTILE} @team", link=f"https://{HOSTILE}", checks=[check])
    env = {"JUKEBOX_PROVIDER": provider, "JUKEBOX_CONTEXT": "a\x1b[1m\nb"}
    lines = printed(report(tmp_path, api, BLOCKED, outcome=known, **env))
    assert all(line.isprintable() for line in lines)
    assert lines[4:] == [
        "checks: 0 of 1 pass",
        f"  {TAME}: {TAME}",
        f"commit: {COMMIT[:12]}",
        f"run: https:// {TAME}",
        f"failure: {TAME} @team",
        f"{provider}: a [1m b of {COMMIT[:12]} is set to failure",
    ]
    assert api.post.body["state"] == ("failed" if provider == "gitlab" else "failure")
    assert api.post.body["description"] == f"{TAME} @ team"
    assert "target_url" not in api.post.body


COMMITS = ["", "main", "ref: refs/heads/main", COMMIT[:12], COMMIT.upper(), f"{COMMIT}\n"]


@pytest.mark.parametrize(("commit", "token"), [(COMMIT, ""), (COMMIT, " \n"), *((c, TOKEN) for c in COMMITS)])
def test_without_a_token_or_a_commit_no_status_is_set(tmp_path, api, commit, token):
    env = {"JUKEBOX_REPORT_TOKEN": token, "JUKEBOX_REPOSITORY_URL": "", "JUKEBOX_API": ""}
    lines = printed(report(tmp_path, api, "fetch-source=Failed promote=None", commit=commit, **env))
    assert lines[-2] == "error: fetch-source failed; nothing was promoted"
    assert lines[-1].startswith("no status was set: ")
    assert ("JUKEBOX_REPORT_TOKEN is empty" in lines[-1]) is (commit == COMMIT)
    assert api.posts == []


def test_a_commit_of_sha256_and_a_token_with_a_new_line_are_valid(tmp_path, api):
    assert report(tmp_path, api, commit="a" * 64, JUKEBOX_REPORT_TOKEN=f"{TOKEN}\n").returncode == 0
    assert api.post.path.endswith("a" * 64)
    assert api.post.headers["authorization"] == f"Bearer {TOKEN}"


def test_a_refusal_comes_after_the_summary(tmp_path, api):
    api.answers = [(401, TOKEN.encode())]
    done = report(tmp_path, api, outcome=outcome())
    assert "was not set at 127.0.0.1: the forge answers 401" in assert_one_line(done, 30)
    assert done.stdout.splitlines()[-1] == f"success: {PROMOTED}"
    assert json.loads(report(tmp_path, api, ALL, "--json").stdout)["exit_code"] == 30


def test_the_status_is_of_the_fetched_commit_whatever_a_file_says(tmp_path, api):
    done = report(tmp_path, api, outcome=outcome(commit="b" * 40))
    assert (done.returncode, "bbbbbbb" in done.stdout) == (0, False)
    assert api.post.path == f"/repos/team/jukebox/statuses/{COMMIT}"
    assert api.post.body["state"] == "error"


BROKEN = ["", "{", "[]", "null", '"text"', "{}", "\x00", "[" * 100_000, '{"exit_code": NaN}']
BROKEN += ['{"exit_code": 0, "checks": [1]}', '{"exit_code": 0, "exit_code": 10}']


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_outcome_is_one_line(tmp_path, api, text):
    done = report(tmp_path, api, outcome=text)
    assert "not what `jukebox submit --outcome` writes" in assert_one_line(done, 2)
    assert api.posts == []


SUBMITTED = outcome(commit=COMMIT)
JUDGED = {"exit_code": 0, "commit": COMMIT, "checks": [PASSES]}
FAILED = {"exit_code": 10, "error": "candidate abc does not pass"}
AWAY = {"exit_code": 30, "error": "no store"}
UNCHANGED = {"exit_code": 0, "unchanged": True}


@pytest.mark.parametrize(
    ("tasks", "files", "said"),
    [
        (REFUSED, {"submit": SUBMITTED, "judge": FAILED}, "failure: candidate abc does not pass"),
        (REFUSED, {"submit": SUBMITTED, "judge": JUDGED}, "error: 1 of 1 checks pass, but promote refused"),
        (REFUSED, {"submit": SUBMITTED, "promote": AWAY}, "but promote refused or failed: no store"),
        (REFUSED, {"judge": FAILED, "promote": UNCHANGED}, "failure: candidate abc does not pass"),
        (ALL, {"submit": SUBMITTED, "promote": UNCHANGED}, "success: nothing to promote, this model is"),
    ],
)
def test_later_files_have_precedence_up_to_the_first_error(tmp_path, api, tasks, files, said):
    for name, document in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
    text = "\n".join(printed(report(tmp_path, api, tasks)))
    assert said in text
    assert (f"run: {LINK}" in text) is ("submit" in files)


@pytest.mark.parametrize(
    ("options", "token", "said"),
    [
        (["--provider", "bitbucket"], TOKEN, "--provider bitbucket: there are github, gitlab, gitea"),
        (["--tasks", "lint=Succeeded"], TOKEN, "promote is missing"),
        (["--tasks", "promote=Maybe"], TOKEN, "'promote=Maybe'"),
        (["--ca", "none.pem"], TOKEN, "--ca none.pem: cannot be read; give a file of PEM certificates"),
        (["--api", "http://forge.example"], TOKEN, "must be an address that begins with https://"),
        (["--repository", "jukebox"], TOKEN, "must be the address of a repository"),
        (["--outcome", "."], TOKEN, "is a directory"),
        (["--outcome", "secret.json"], TOKEN, "secret.json"),
        ([], "canary\nmore", "JUKEBOX_REPORT_TOKEN: a token must have no spaces"),
    ],
)
def test_wrong_use_is_one_line(tmp_path, api, options, token, said):
    (tmp_path / "secret.json").write_text("{}")
    (tmp_path / "secret.json").chmod(0)
    line = assert_one_line(report(tmp_path, api, ALL, *options, JUKEBOX_REPORT_TOKEN=token), 2)
    assert said in line
    assert ("canary" in line, api.posts) == (False, [])


def test_the_token_is_on_no_command_line(tmp_path):
    with silent_port(connects=True) as port:
        env = {**os.environ, "JUKEBOX_REPORT_TOKEN": TOKEN, "PYTHONUNBUFFERED": "1"}
        env["JUKEBOX_API"] = f"http://127.0.0.1:{port}"
        command = [*COMMAND, "ci", "report", "--tasks", ALL, "--commit", COMMIT, "--repository", REPOSITORY]
        process = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE)
        try:
            assert any(line.startswith(b"success:") for line in process.stdout)
            assert TOKEN.encode() not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
        finally:
            process.kill()
            process.communicate()

"""`jukebox ci report` as a process: what it prints, what it sends, and that the token is nowhere."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from command import COMMAND, called
from forges import COMMIT, REPOSITORY, TOKEN, Api, serving_forge
from processes import assert_one_line
from servers import silent_port

ALL = "fetch-source=Succeeded lint=Succeeded submit-run=Succeeded promote=Succeeded"
BLOCKED = "fetch-source=Succeeded lint=Succeeded submit-run=Failed promote=None"
LINK = "https://dspa.example/runs/1"
PASSES = {"name": "data.rows", "passed": True, "reason": "", "value": 1.0, "bound": 1.0, "relation": ">="}
HOSTILE = "\x1b]0;owned\x07\x1b[31mred\x1b[0m\nsecond [bold]line[/] \ud800\u2028:smile:"


@pytest.fixture
def api():
    with serving_forge(Api()) as found:
        yield found


def report(home, api, tasks=ALL, *options: object, outcome=None, commit=COMMIT, **env: str):
    """Report as the Task does, in an image that is of another commit."""
    path = home / "outcome" / "submit.json"
    if outcome is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_text(outcome if isinstance(outcome, str) else json.dumps(outcome))
    told = {
        "JUKEBOX_TASKS": tasks,
        "JUKEBOX_COMMIT": "f" * 40,
        "JUKEBOX_REPOSITORY_URL": REPOSITORY,
        "JUKEBOX_PROVIDER": "github",
        "JUKEBOX_API": api.url,
        "JUKEBOX_CONTEXT": "jukebox",
        "JUKEBOX_OUTCOME": str(path),
        "JUKEBOX_REPORT_TOKEN": TOKEN,
        **env,
    }
    done = called("ci", "report", "--commit", commit, *options, cwd=home, env=told)
    assert TOKEN not in done.stdout + done.stderr
    return done


def outcome(code=0, **more) -> dict:
    return {"exit_code": code, "link": LINK, "checks": [PASSES, PASSES], "run_id": "1", **more}


def test_a_promotion(tmp_path, api):
    done = report(tmp_path, api, outcome=outcome())
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        *ALL.replace("=", ": ").replace(" f", "\nf").replace("d ", "d\n").splitlines(),
        "checks: 2 of 2 pass",
        f"commit: {COMMIT[:12]}",
        f"run: {LINK}",
        "success: promoted: 2 of 2 checks pass",
        f"github: jukebox of {COMMIT[:12]} is set to success",
    ]
    assert api.post.path == f"/repos/team/jukebox/statuses/{COMMIT}"
    assert api.post.body == {
        "state": "success",
        "description": "promoted: 2 of 2 checks pass",
        "context": "jukebox",
        "target_url": LINK,
    }


@pytest.mark.parametrize("provider", ["github", "gitlab", "gitea"])
def test_a_block_is_told_to_each_forge(tmp_path, api, provider):
    failing = {**PASSES, "name": "merit.gain", "passed": False, "reason": "0.01 is not > 0.05"}
    told = outcome(10, error="the gate blocked the model (merit.gain)", checks=[PASSES, failing])
    done = report(tmp_path, api, BLOCKED, outcome=told, JUKEBOX_PROVIDER=provider, JUKEBOX_CONTEXT="nightly")
    assert (done.returncode, done.stderr) == (0, "")
    assert "  merit.gain: 0.01 is not > 0.05" in done.stdout.splitlines()
    state = "failed" if provider == "gitlab" else "failure"
    assert done.stdout.endswith(f"{provider}: nightly of {COMMIT[:12]} is set to failure\n")
    assert (api.post.body["state"], api.post.body["description"]) == (state, told["error"])


@pytest.mark.parametrize("token", ["", " \n"])
def test_without_a_token_the_summary_is_all(tmp_path, api, token):
    done = report(
        tmp_path, api, BLOCKED, JUKEBOX_REPORT_TOKEN=token, JUKEBOX_REPOSITORY_URL="", JUKEBOX_API=""
    )
    assert (done.returncode, done.stderr, api.posts) == (0, "", [])
    assert done.stdout.splitlines()[-2:] == [
        "error: submit-run failed before it wrote a reason; see its log",
        "no status was set: JUKEBOX_REPORT_TOKEN is empty",
    ]


@pytest.mark.parametrize(
    "commit", ["", "main", "ref: refs/heads/main", COMMIT[:12], COMMIT.upper(), f"{COMMIT}\n"]
)
def test_without_a_commit_the_summary_is_all(tmp_path, api, commit):
    done = report(tmp_path, api, "fetch-source=Failed promote=None", commit=commit)
    assert (done.returncode, done.stderr, api.posts) == (0, "", [])
    assert done.stdout.splitlines()[-2:] == [
        "error: fetch-source failed; nothing was promoted",
        "no status was set: the run never came to a commit",
    ]


def test_a_commit_of_sha256_is_one(tmp_path, api):
    assert report(tmp_path, api, commit="a" * 64).returncode == 0
    assert api.post.path.endswith("a" * 64)


def test_a_token_with_the_new_line_of_its_file_is_one(tmp_path, api):
    assert report(tmp_path, api, JUKEBOX_REPORT_TOKEN=f"{TOKEN}\n").returncode == 0
    assert api.post.headers["authorization"] == f"Bearer {TOKEN}"


def test_json_is_one_object(tmp_path, api):
    done = report(tmp_path, api, ALL, "--json", outcome=outcome())
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
    found = json.loads(done.stdout)
    assert (found["state"], found["sentence"], found["link"]) == (
        "success",
        "promoted: 2 of 2 checks pass",
        LINK,
    )
    assert found["tasks"]["promote"] == "Succeeded"
    assert [check["name"] for check in found["checks"]] == ["data.rows"] * 2
    assert found["told"] == f"github: jukebox of {COMMIT[:12]} is set to success"


@pytest.mark.parametrize("status", [401, 404, 422])
def test_a_refusal_comes_after_the_summary(tmp_path, api, status):
    api.answers = [(status, TOKEN.encode())]
    done = report(tmp_path, api, outcome=outcome())
    line = assert_one_line(done, 30)
    assert f"the status of {COMMIT[:12]} was not set at 127.0.0.1: the forge answers {status}" in line
    assert done.stdout.splitlines()[-1] == "success: promoted: 2 of 2 checks pass"
    refused = report(tmp_path, api, ALL, "--json")
    assert json.loads(refused.stdout)["exit_code"] == 30


def test_hostile_words_are_printed_and_sent_as_one_tame_line_each(tmp_path, api):
    check = {**PASSES, "name": f"  {HOSTILE}", "passed": False, "reason": HOSTILE}
    told = outcome(10, error=HOSTILE, link=f"https://{HOSTILE}", checks=[check])
    done = report(tmp_path, api, BLOCKED, outcome=told, JUKEBOX_CONTEXT="a\x1b[1m\nb")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(line.isprintable() for line in done.stdout.splitlines())
    tame = "]0;owned [31mred [0m second [bold]line[/] :smile:"
    assert done.stdout.splitlines()[4:] == [
        "checks: 0 of 1 pass",
        f"  {tame}: {tame}",
        f"commit: {COMMIT[:12]}",
        f"run: https:// {tame}",
        f"failure: {tame}",
        f"github: a [1m b of {COMMIT[:12]} is set to failure",
    ]
    assert api.post.body["description"] == tame
    assert "target_url" not in api.post.body


def test_a_commits_words_mention_nobody_and_name_no_other_commit(tmp_path, api):
    words = "the gate blocked the model: @team closes #12, see <a href=x> of deadbeefcafe"
    done = report(tmp_path, api, BLOCKED, outcome=outcome(10, error=words))
    assert done.returncode == 0
    told = "the gate blocked the model: @ team closes # 12, see < a href=x> of deadbe…"
    assert api.post.body["description"] == told


def test_a_status_is_of_the_commit_that_was_fetched_whatever_a_file_says(tmp_path, api):
    done = report(tmp_path, api, outcome=outcome(commit="b" * 40))
    assert done.returncode == 0
    assert api.post.path == f"/repos/team/jukebox/statuses/{COMMIT}"
    assert api.post.body["state"] == "error"
    assert "bbbbbbb" not in done.stdout


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '"text"',
        "{}",
        '{"exit_code": NaN}',
        '{"exit_code": 0, "checks": [1]}',
        '{"exit_code": 0, "exit_code": 10}',
        "\x00",
        "[" * 100_000,
    ],
)
def test_a_broken_outcome_is_one_line(tmp_path, api, text):
    done = report(tmp_path, api, outcome=text)
    assert "not what `jukebox submit --outcome` writes" in assert_one_line(done, 2)
    assert api.posts == []


@pytest.mark.parametrize("code", [0, 10])
def test_what_the_judge_decided_counts_more_than_what_the_run_says_of_itself(tmp_path, api, code):
    judged = {"exit_code": code, "commit": COMMIT, "dirty": False, "checks": [{**PASSES, "passed": not code}]}
    judged |= {"error": "candidate abc does not pass (data.rows)"} if code else {}
    submitted, decided = tmp_path / "submit.json", tmp_path / "judge.json"
    tasks = ALL.replace("promote=Succeeded", "promote=Failed")
    for path, known in ((submitted, outcome(commit=COMMIT)), (decided, judged)):
        path.write_text(json.dumps(known))
    done = report(tmp_path, api, tasks, JUKEBOX_OUTCOME=f"{submitted}:{decided}")
    state, said = (
        ("failure", "candidate abc does not pass") if code else ("error", "promote refused or failed")
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{state}: " in done.stdout
    assert said in done.stdout
    assert f"run: {LINK}" in done.stdout, "the judge does not know the run's address"


def test_a_promotion_that_changed_nothing_is_not_called_one(tmp_path, api):
    submitted, promoted = tmp_path / "submit.json", tmp_path / "promote.json"
    for path, known in ((submitted, outcome(commit=COMMIT)), (promoted, {"exit_code": 0, "unchanged": True})):
        path.write_text(json.dumps(known))
    done = report(tmp_path, api, ALL, JUKEBOX_OUTCOME=f"{submitted}:{promoted}")
    assert "success: nothing to promote, this model is in production already: " in done.stdout


def test_what_is_behind_an_error_is_of_an_earlier_try(tmp_path, api):
    judged, promoted = tmp_path / "judge.json", tmp_path / "promote.json"
    blocked = {"exit_code": 10, "error": "candidate abc does not pass"}
    for path, known in ((judged, blocked), (promoted, {"exit_code": 0, "unchanged": False})):
        path.write_text(json.dumps(known))
    tasks = ALL.replace("promote=Succeeded", "promote=Failed")
    done = report(tmp_path, api, tasks, JUKEBOX_OUTCOME=f"{judged}:{promoted}")
    assert "failure: candidate abc does not pass" in done.stdout


def test_a_promotion_that_failed_says_why(tmp_path, api):
    submitted, promoted = tmp_path / "submit.json", tmp_path / "promote.json"
    away = {"exit_code": 30, "error": "cannot reach the store"}
    for path, known in ((submitted, outcome(commit=COMMIT)), (promoted, away)):
        path.write_text(json.dumps(known))
    tasks = ALL.replace("promote=Succeeded", "promote=Failed")
    done = report(tmp_path, api, tasks, JUKEBOX_OUTCOME=f"{submitted}:{promoted}")
    assert "but promote refused or failed: cannot reach the store" in done.stdout


def test_an_outcome_that_cannot_be_read_is_one_line(tmp_path, api):
    assert "is a directory" in assert_one_line(report(tmp_path, api, ALL, "--outcome", tmp_path), 2)
    (tmp_path / "secret.json").write_text("{}")
    (tmp_path / "secret.json").chmod(0)
    done = report(tmp_path, api, ALL, "--outcome", tmp_path / "secret.json")
    assert "secret.json" in assert_one_line(done, 2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--provider", "bitbucket"], "--provider bitbucket: there are github, gitlab, gitea"),
        (["--tasks", "lint=Succeeded"], "promote is missing"),
        (["--tasks", "promote=Maybe"], "'promote=Maybe'"),
        (["--ca", "none.pem"], "--ca none.pem: cannot be read"),
        (["--ca", "/etc/hostname"], "give a file of PEM certificates"),
        (["--api", "http://forge.example"], "must be an address that begins with https://"),
        (["--repository", "jukebox"], "must be the address of a repository"),
    ],
)
def test_wrong_use_is_one_line(tmp_path, api, options, said):
    assert said in assert_one_line(report(tmp_path, api, ALL, *options), 2)
    assert api.posts == []


def test_a_token_that_is_none_is_one_line(tmp_path, api):
    done = report(tmp_path, api, JUKEBOX_REPORT_TOKEN="canary\nmore")
    assert "canary" not in assert_one_line(done, 2)


def test_the_token_is_on_no_command_line(tmp_path):
    with silent_port(connects=True) as port:
        env = {
            "JUKEBOX_REPORT_TOKEN": TOKEN,
            "JUKEBOX_API": f"http://127.0.0.1:{port}",
            "PYTHONUNBUFFERED": "1",
        }
        arguments = ["--tasks", ALL, "--commit", COMMIT, "--repository", REPOSITORY]
        process = subprocess.Popen(
            [*COMMAND, "ci", "report", *arguments],
            cwd=tmp_path,
            env={**os.environ, **env},
            stdout=subprocess.PIPE,
        )
        try:
            for line in process.stdout:
                if line.startswith(b"success:"):
                    break
            assert TOKEN.encode() not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
        finally:
            process.kill()
            process.communicate()

"""What `jukebox submit` refuses, and how it tells what a server says: in one tame line."""

import json

import pytest
from command import SAMPLE
from dspa_command import IMAGE, PLACES, TOKEN, ended_here
from dspa_server import Dspa, Fault, serving

DATA = ("--data", SAMPLE)
COMMIT = "1a2b3c4d5e" * 4


def refused(local, *arguments, **env):
    """Check that wrong use ends in one line, and that nobody is asked."""
    with serving(Dspa(tokens={TOKEN})) as dspa:
        done = ended_here(local, "submit", *arguments, "--host", dspa.url, env=env)
        assert (done.code, dspa.requests) == (2, []), done.stderr
    return done


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("list.yaml",), "not a pipeline"),
        (("fit.yaml", "--param", "color=red"), "no such hyperparameter"),
        (("fit.yaml", "--param", "epochs=many"), "epochs=many"),
        (("fit.yaml", "--param", "epochs=-1"), "epochs"),
        (("fit.yaml", "--policy", "list.yaml"), "policy"),
        (("fit.yaml", "--data", "none"), "none/rankings.parquet"),
        (("fit.yaml", "--commit", "main"), "--commit main: give all 40 or 64"),
        (("fit.yaml", "--commit", COMMIT[:12]), "--commit"),
        (("fit.yaml", "--commit", f"{COMMIT}\n"), "--commit"),
        (("fit.yaml", "--cause", "a\nb"), "--cause"),
        (("fit.yaml", "--cause", "a" * 501), "--cause"),
        (("fit.yaml", "--outcome", "."), "'.' is a directory"),
        (("fit.yaml", "--timeout", "0"), "--timeout"),
        (("fit.yaml", "--timeout", "nan"), "--timeout"),
    ],
)
def test_wrong_use_is_one_line(local, arguments, word):
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_REGION": "us-east-1"}
    assert word in refused(local, *arguments, *PLACES, **nowhere).line


def test_wrong_use_is_one_object_of_json_and_an_outcome_too(local, tmp_path):
    assert refused(local, "fit.yaml", *PLACES[:2], "--json").json["exit_code"] == 2
    outcome = tmp_path / "submit.json"
    wrong = ("fit.yaml", *PLACES, "--param", "color=red", "--json")
    done = refused(local, *wrong, JUKEBOX_OUTCOME=str(outcome))
    told = {"error": done.line[9:].strip(), "exit_code": 2}
    assert (json.loads(outcome.read_text()), done.json) == (told, told)


def test_no_token_is_wrong_use(local):
    arguments = ("fit.yaml", *PLACES, "--host", "https://nothing.invalid")
    done = ended_here(local, "submit", *arguments, env={"JUKEBOX_TOKEN": ""})
    assert (done.code, "JUKEBOX_TOKEN" in done.line) == (2, True)


def test_a_refused_token_is_the_platforms_error_at_once(local, s3):
    with serving(Dspa(tokens={"another"})) as dspa:
        arguments = ("submit", "fit.yaml", *PLACES, *DATA, "--host", dspa.url)
        done = ended_here(local, *arguments, env=s3)
        assert [request.kind for request in dspa.requests] == ["healthz"]
        silent = ended_here(local, *arguments, "--image", IMAGE, env=s3).stdout
        assert ended_here(local, *arguments, "--json", env=s3).json["exit_code"] == 30
    assert "the token is not accepted" in done.line
    assert (done.code, done.results["VERDICT"]) == (30, "error")
    note = f"note: without --image the image is the one that the pipeline names: {IMAGE}"
    assert (note in done.stdout, "--image" in silent) == (True, False)


@pytest.mark.parametrize(
    "text", ["\x1b]0;owned\x07\x1b[31m2\x1b[0m\nline", "\ud800"], ids=["escapes", "half"]
)
def test_what_a_server_says_is_tame_on_the_terminal_and_in_the_outcome(local, s3, tmp_path, text):
    faults = {
        "healthz": Fault.edited(lambda health: {**health, "tag_name": text}),
        "get_run": Fault.json({"code": 3, "message": f"field:id: {text}"}, 400),
    }
    with serving(Dspa(tokens={TOKEN}, fault=lambda request: faults.get(request.kind))) as dspa:
        outcome = ("--host", dspa.url, "--outcome", tmp_path / "submit.json")
        done = ended_here(local, "submit", "fit.yaml", *PLACES, *DATA, *outcome, env=s3)
    assert (done.code, "\x1b" in done.stdout + done.stderr, "field:id:" in done.line) == (30, False, True)
    told = json.loads((tmp_path / "submit.json").read_text())
    assert (told["exit_code"], told["error"].isprintable()) == (30, True)


def test_nothing_answers_until_the_commands_own_deadline(local, s3):
    arguments = ("fit.yaml", *PLACES, *DATA, "--timeout", "2", "--host", "https://nothing.invalid")
    done = ended_here(local, "submit", *arguments, "--json", env=s3)
    assert (done.code, done.json["exit_code"], "--timeout" in done.line) == (30, 30, True)

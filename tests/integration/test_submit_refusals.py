"""What `jukebox submit` refuses, and how it tells what a server says: in one tame line."""

import json

import pytest
from command import SAMPLE
from dspa_command import IMAGE, PLACES, TOKEN, Ended, ended_here
from dspa_server import Dspa, Fault, serving
from servers import s3_server

DATA = ("--data", SAMPLE)
COMMIT = "1a2b3c4d5e" * 4
S3 = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ACCESS_KEY_ID": "a",
    "AWS_SECRET_ACCESS_KEY": "b",
    "AWS_REGION": "us-east-1",
}
WRONG = {
    "no evidence": (["fit.yaml", *PLACES[2:]], "--evidence"),
    "no store": (["fit.yaml", *PLACES[:2]], "--store"),
    "no image by digest": (["local.yaml", *PLACES], "--image REF@sha256"),
    "no such file": (["none.yaml", *PLACES], "cannot read none.yaml"),
    "no YAML": (["garbage.yaml", *PLACES], "not a pipeline"),
    "no pipeline": (["list.yaml", *PLACES], "not a pipeline"),
    "unknown parameter": (["fit.yaml", *PLACES, "--param", "color=red"], "no such hyperparameter"),
    "a parameter of another type": (["fit.yaml", *PLACES, "--param", "epochs=many"], "epochs=many"),
    "a parameter out of range": (["fit.yaml", *PLACES, "--param", "epochs=-1"], "epochs"),
    "a parameter that is not one's own": (["fit.yaml", *PLACES, "--param", "nonce=x"], "nonce"),
    "a store in a folder": (["fit.yaml", *PLACES[:3], "/tmp/store"], "on this machine"),
    "results in a file": (["fit.yaml", *PLACES, "--results-dir", "file"], "--results-dir"),
    "a policy that is none": (["fit.yaml", *PLACES, "--policy", "list.yaml"], "policy"),
    "data that are not there": (["fit.yaml", *PLACES, "--data", "none"], "none/rankings.parquet"),
    "an empty attempt": (["fit.yaml", *PLACES, "--attempt", " "], "--attempt"),
    "half a commit": (["fit.yaml", *PLACES, "--commit", COMMIT[:12]], "give all 40 or 64"),
    "no commit": (["fit.yaml", *PLACES, "--commit", ""], "--commit"),
    "a branch for a commit": (["fit.yaml", *PLACES, "--commit", "main"], "--commit main"),
    "a commit and a line": (["fit.yaml", *PLACES, "--commit", f"{COMMIT}\n"], "--commit"),
    "a cause of two lines": (["fit.yaml", *PLACES, "--cause", "a\nb"], "--cause"),
    "a cause without end": (["fit.yaml", *PLACES, "--cause", "a" * 501], "--cause"),
    "an outcome in a folder": (["fit.yaml", *PLACES, "--outcome", "."], "'.' is a directory"),
    "an outcome below a file": (["fit.yaml", *PLACES, "--outcome", "file/x"], "--outcome file"),
    "no time": (["fit.yaml", *PLACES, "--timeout", "0"], "--timeout"),
    "a time that is no number": (["fit.yaml", *PLACES, "--timeout", "nan"], "--timeout"),
}


@pytest.fixture(scope="module")
def untouched():
    """A server that must not be asked anything."""
    with serving(Dspa(tokens={TOKEN})) as dspa:
        yield dspa
        assert dspa.requests == []


def wrong(local, dspa, *arguments, **env) -> Ended:
    """Check that wrong use ends in one line, and that nobody was asked."""
    done = ended_here(
        local, "submit", *arguments, "--host", dspa.url, env={**S3, "JUKEBOX_RESULTS_DIR": "", **env}
    )
    assert done.code == 2, done.stderr
    assert done.line
    assert dspa.requests == []
    return done


@pytest.mark.parametrize("case", WRONG)
def test_wrong_use_is_one_line(local, untouched, case):
    arguments, word = WRONG[case]
    assert word in wrong(local, untouched, *arguments).line


def test_wrong_use_as_json_is_one_object(local, untouched):
    done = wrong(local, untouched, "fit.yaml", *PLACES, "--param", "color=red", "--json")
    assert (done.json["exit_code"], "color" in done.json["error"]) == (2, True)


def test_a_missing_option_as_json_is_one_object(local, untouched):
    assert wrong(local, untouched, "fit.yaml", "--json").json["exit_code"] == 2


def test_wrong_use_is_an_outcome_too(local, untouched, tmp_path):
    outcome = tmp_path / "submit.json"
    done = wrong(local, untouched, "fit.yaml", *PLACES, "--param", "color=red", JUKEBOX_OUTCOME=str(outcome))
    assert json.loads(outcome.read_text()) == {"error": done.line[9:].strip(), "exit_code": 2}


def test_no_token_is_wrong_use(local):
    done = ended_here(
        local, "submit", "fit.yaml", *PLACES, "--host", "https://nothing.invalid", env={"JUKEBOX_TOKEN": ""}
    )
    assert (done.code, "JUKEBOX_TOKEN" in done.line) == (2, True)


def test_a_refused_token_is_the_platforms_error_at_once(local):
    with s3_server() as s3, serving(Dspa(tokens={"another"})) as dspa:
        done = ended_here(local, "submit", "fit.yaml", *PLACES, *DATA, "--host", dspa.url, "--json", env=s3)
        assert [request.kind for request in dspa.requests] == ["healthz"]
    assert (done.code, done.json["exit_code"]) == (30, 30)
    assert "the token is not accepted" in done.line
    assert done.results["VERDICT"] == "error"


def test_which_image_counts_is_said(local):
    with s3_server() as s3, serving(Dspa(tokens={"another"})) as dspa:
        arguments = ("submit", "fit.yaml", *PLACES, *DATA, "--host", dspa.url)
        said = ended_here(local, *arguments, env=s3).stdout
        silent = ended_here(local, *arguments, "--image", IMAGE, env=s3).stdout
    note = f"note: without --image the image is the one that the pipeline names: {IMAGE}"
    assert (note in said, "--image" in silent) == (True, False)


HOSTILE = "\x1b]0;owned\x07\x1b[31m2.16\x1b[0m\nline"


@pytest.mark.parametrize("text", [HOSTILE, "\ud800"], ids=["escapes", "surrogate"])
def test_a_servers_version_reaches_the_terminal_tame(local, tmp_path, text):
    with s3_server() as s3, serving(Dspa(health={"tag_name": text})) as dspa:
        dspa.forbidden = lambda request: request.kind != "healthz"
        arguments = ("fit.yaml", *PLACES, *DATA, "--timeout", "1", "--host", dspa.url)
        done = ended_here(local, "submit", *arguments, env=s3)
    assert (done.code, "\x1b" in done.stdout + done.stderr) == (30, False)


@pytest.mark.parametrize("fault", ["name", "emoji"])
def test_what_a_server_says_is_printed_as_one_tame_line(tmp_path, fault):
    run = {"run_id": "r1", "experiment_id": "e1", "created_at": "2026-01-01T00:00:00Z"}
    hostile = Fault.json({**run, "display_name": HOSTILE})
    with serving(Dspa(tokens={TOKEN})) as dspa:
        if fault == "name":
            dspa.fault = lambda request: hostile if request.kind == "get_run" else None
        else:
            dspa.fault = lambda _: Fault.json({"code": 3, "message": "field:id: is wrong"}, 400)
        done = ended_here(tmp_path, "follow", "r1", "--host", dspa.url)
    assert "\x1b" not in done.line
    assert fault == "name" or "field:id: is wrong" in done.line


@pytest.mark.parametrize("text", [HOSTILE, "\ud800"], ids=["escapes", "surrogate"])
def test_what_a_server_says_is_an_outcome_that_can_be_read(local, tmp_path, text):
    """What is said of a run that was begun stands in the outcome."""
    refused = Fault.json({"code": 3, "message": f"odd{text}"}, 400)
    with s3_server() as s3, serving(Dspa(tokens={TOKEN})) as dspa:
        dspa.fault = lambda request: refused if request.kind == "get_run" else None
        outcome = ("--host", dspa.url, "--outcome", tmp_path / "submit.json")
        done = ended_here(local, "submit", "fit.yaml", *PLACES, *DATA, *outcome, env=s3)
    told = json.loads((tmp_path / "submit.json").read_text())
    assert (told["exit_code"], told["error"].isprintable(), done.code) == (30, True, 30)
    assert "odd" in told["error"]


def test_nothing_answers(local):
    """The command's own deadline is shorter than the minute that it would wait."""
    with s3_server() as s3:
        arguments = ("fit.yaml", *PLACES, *DATA, "--timeout", "2", "--host", "https://nothing.invalid")
        done = ended_here(local, "submit", *arguments, "--json", env=s3)
    assert (done.code, done.json["exit_code"]) == (30, 30)
    assert "nothing.invalid" in done.line

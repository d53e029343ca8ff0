"""Runs on this machine, read back: how each ended, and which one a user means."""

import datetime
import fcntl
import json
import shutil
import time
from pathlib import Path

import pytest
from candidates import candidate_files, store_run
from local_runs import BLOCKED, FIRST, SECOND, events, make_run
from reports import POLICY

from ml.core.errors import EvidenceError, UsageError
from ml.gate.evidence import policy_digest
from ml.pipeline.run_folder import new_name, started
from ml.pipeline.runs import evidence_of, find_run, list_runs
from ml.release.promotion import promote
from ml.release.store import ModelStore


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "runs"


def only(folder):
    (found,) = list_runs(folder, 20)
    return found


def test_a_run_that_passed_tells_all(folder):
    make_run(folder, evidence={}, commit="3f2a91c0d4e5" + "0" * 28, dirty=True, hyperparameters={"epochs": 5})
    found = only(folder)
    assert (found.id, found.verdict, found.started) == (FIRST, "pass", "2026-01-01T12:00:00Z")
    assert (found.code, found.synthetic, found.source) == ("3f2a91c0d4e5+dirty", True, "the synthetic sample")
    assert (found.log_loss, found.promotion, found.hyperparameters["epochs"]) == (4.0, None, 5)
    told = json.loads(json.dumps(found.to_json()))
    assert (told["log_loss"], told["state"]) == (4.0, "pass")


def test_a_run_of_0_1_has_the_text_of_its_policy_as_parameter(folder):
    make_run(folder, FIRST)
    make_run(folder, SECOND, policy=POLICY)
    assert {run.policy for run in list_runs(folder, 2)} == {policy_digest(POLICY)}


def test_runs_are_listed_newest_first(folder):
    for name in (FIRST, SECOND, "20251231-235959-cccccc"):
        make_run(folder, name)
    assert [run.id for run in list_runs(folder, 2)] == [SECOND, FIRST]


def test_a_run_is_named_by_the_time_in_utc_and_its_nonce(monkeypatch):
    def utc():
        return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    with monkeypatch.context() as ahead:
        ahead.setenv("TZ", "Pacific/Kiritimati")
        time.tzset()
        before, name, after = utc(), new_name("aaaaaa" + "0" * 26), utc()
    time.tzset()
    assert before <= started(Path(name)) <= after
    assert name.endswith("-aaaaaa")


@pytest.mark.parametrize("name", ["notes", "99999999-999999-aaaaaa"])
def test_another_name_says_no_time(name):
    assert started(Path(name)) == ""


def test_where_nothing_is_there_is_no_run_and_what_is_no_folder_is_refused(folder):
    assert list_runs(folder, 20) == []
    folder.write_text("")
    with pytest.raises(UsageError, match="--runs"):
        list_runs(folder, 20)


ERROR = {"message": "a reason", "blocked": False, "permanent": True}


@pytest.mark.parametrize(
    ("told", "evidence", "verdict", "problem"),
    [
        *((told, None, "interrupted", "before its first step") for told in ("", "[]\n", "half")),
        (events(("fetch", "start")), None, "interrupted: fetch", "fetch started and did not end"),
        (
            events(("fetch", "start")) + '{"step": "tr',
            {},
            "interrupted: fetch",
            "fetch started and did not end",
        ),
        (events(("fetch", "end")), None, "interrupted", "stopped after fetch"),
        (events(("validate", "error"), **ERROR), None, "failed: validate", "a reason"),
        (events(("save", "error"), **ERROR), {}, "failed: save", "a reason"),
        (BLOCKED, {"broken": "budget.model_bytes"}, "blocked", ""),
        (BLOCKED, {"edits": {"evaluation.schema": "another"}}, "blocked", ""),
    ],
    ids=range(10),
)
def test_how_a_run_ended(folder, told, evidence, verdict, problem):
    make_run(folder, told=told, evidence=evidence)
    run = only(folder)
    readable = evidence is not None and "edits" not in evidence
    assert (run.verdict, problem in run.problem, run.log_loss) == (verdict, True, 4.0 if readable else None)


def test_a_run_that_goes_on_is_running_until_its_processes_are_gone(folder):
    home = make_run(folder, told=events(("train", "start")))
    with open(home / "run.log", "wb") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        assert only(folder).verdict == "running: train"
    assert only(folder).verdict == "interrupted: train"


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("parameters.json", None, "parameters.json is missing"),
        ("parameters.json", "", "parameters.json: "),
        ("parameters.json", '{"epochs": "many"}', "parameters.json: "),
        ("evidence.json", "{}", "evidence.json: not evidence"),
        ("evidence.json", candidate_files(nonce="of another run")["evidence.json"].decode(), "another run"),
    ],
)
def test_a_damaged_folder_is_a_broken_run_that_hides_no_other(folder, name, content, problem):
    home = make_run(folder, SECOND, evidence={})
    make_run(folder, FIRST, evidence={})
    (home / name).unlink() if content is None else (home / name).write_text(content)
    broken, whole = list_runs(folder, 20)
    assert (broken.id, broken.state, whole.verdict) == (SECOND, "broken", "pass")
    assert problem in broken.problem


def test_secrets_of_a_uri_are_not_shown(folder):
    uri = "https://ada:s3cret@data.example/charts.parquet?sig=s3cret"
    make_run(folder, evidence={}, table_uris={"rankings": uri})
    found = only(folder)
    assert (found.source, found.synthetic) == ("https://data.example/charts.parquet", False)
    assert "s3cret" not in json.dumps(found.to_json())


def test_a_run_knows_under_which_number_it_was_promoted(folder):
    home = make_run(folder, evidence={})
    store = ModelStore(str(folder.parent / "store"), create=True)
    make_run(folder, SECOND, evidence={})
    files = {**candidate_files(), "evidence.json": (home / "evidence.json").read_bytes()}
    candidate = store_run(store, files)
    promote(store, candidate, POLICY)
    assert {run.id: run.promotion for run in list_runs(folder, 20)} == {FIRST: 1, SECOND: None}


def test_a_damaged_log_hides_no_run_and_is_told(folder):
    make_run(folder, evidence={})
    (folder.parent / "store" / "promotions").mkdir(parents=True)
    (folder.parent / "store" / "promotions" / "notes.json").write_text("")
    assert (only(folder).verdict, only(folder).promotion) == ("pass", None)
    assert "notes.json is no promotion" in only(folder).problem


@pytest.mark.parametrize("text", [FIRST, "20260101", "aaaa"])
def test_a_run_is_found_by_its_name_or_part_of_it(folder, text):
    for name in (FIRST, SECOND):
        make_run(folder, name, evidence={})
    assert find_run(text, folder).id == FIRST
    assert evidence_of(text, folder) == folder / FIRST / "evidence.json"
    make_run(folder, "20260101")
    assert find_run("20260101", folder).id == "20260101"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2026", f"2 runs have such names \\({SECOND}, {FIRST}\\)"),
        ("202", "give 4 characters"),
        ("20270101", "there is none in"),
    ],
)
def test_what_names_no_run_or_several_is_refused_with_the_next_command(folder, text, message):
    for name in (FIRST, SECOND):
        make_run(folder, name)
    for find in (find_run, evidence_of):
        with pytest.raises(UsageError, match=f"{message}.*`jukebox runs`"):
            find(text, folder)


def test_a_run_is_found_by_the_path_of_its_folder_or_its_evidence(folder, monkeypatch):
    home = make_run(folder, evidence={})
    for path in (home, home / "evidence.json"):
        assert find_run(str(path), folder / "elsewhere").id == FIRST
        assert evidence_of(str(path), folder / "elsewhere") == home / "evidence.json"
    monkeypatch.chdir(home)
    assert find_run("evidence.json", folder).id == FIRST


def test_evidence_without_its_run_is_what_it_says_itself(folder, tmp_path):
    copy = tmp_path / "evidence.json"
    shutil.copyfile(make_run(folder, evidence={"dirty": True}) / "evidence.json", copy)
    found = find_run(str(copy), folder)
    assert (found.id, found.verdict, found.log_loss) == ("run-of-A", "pass", 4.0)
    assert (found.dirty, found.synthetic, found.hyperparameters) == (True, True, {})


@pytest.mark.parametrize("content", [None, "{}"])
def test_a_path_without_evidence_is_refused(tmp_path, content):
    path = tmp_path / "evidence.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match="evidence"):
        find_run(str(path), tmp_path)


def test_a_run_without_evidence_has_none_to_decide_on(folder):
    make_run(folder, told=events(("train", "start")))
    with pytest.raises(EvidenceError, match=r"left no evidence \(interrupted: train\)"):
        evidence_of(FIRST, folder)

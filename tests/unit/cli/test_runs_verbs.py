"""The verbs about runs: what they print, and how they refuse."""

import pytest
from local_runs import BLOCKED, FIRST, SECOND, events, make_run


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with two runs: one passed, one was blocked on other data, with changes of the work tree."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / ".jukebox" / "runs"
    make_run(folder, FIRST, evidence={})
    make_run(
        folder,
        SECOND,
        told=BLOCKED,
        evidence={"broken": "budget.model_bytes"},
        data_version="another",
        dirty=True,
        hyperparameters={"epochs": 5},
        table_uris={"rankings": "https://ada:s3cret@data.example/charts.csv?sig=s3cret"},
    )
    return tmp_path


def test_runs_are_listed_with_what_is_known_of_them(home, jukebox):
    done = jukebox("runs")
    second, first = done.out.splitlines()[1:]
    assert (done.code, done.err) == (0, "")
    assert [
        word
        for word in (FIRST, "2026-01-01 12:00", "the synthetic sample", "pass", "4.0000")
        if word not in first
    ] == []
    assert "01b945fae5ea+dirty" in second
    assert "+dirty" not in first
    assert "https://data.example/charts.csv" in second
    assert "blocked" in second
    assert "s3cret" not in done.out


def test_broken_runs_are_listed_as_such(home, jukebox):
    (home / ".jukebox/runs/notes").mkdir()
    make_run(home / ".jukebox/runs", "20260103-000000-cccccc", told=events(("train", "start")))
    done = jukebox("runs")
    assert done.code == 0
    assert "interrupted: train" in done.out.splitlines()[1]
    assert "parameters.json is missing" in done.out.splitlines()[-1]


def test_the_newest_runs_as_json(home, jukebox):
    (found,) = jukebox("runs", "--last", "1", "--json").json["runs"]
    assert (found["id"], found["state"], found["dirty"], found["log_loss"]) == (SECOND, "blocked", True, 4.0)


def test_where_there_are_no_runs_the_next_command_is_named(tmp_path, jukebox):
    done = jukebox("runs", "--runs", tmp_path / "none")
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("no runs yet; `jukebox run` makes one\n")
    assert jukebox("runs", "--runs", tmp_path / "none", "--json").json == {"runs": []}


def test_two_runs_side_by_side_with_what_changed_first(home, jukebox):
    done = jukebox("compare", FIRST, "bbbb")
    lines = done.out.splitlines()
    assert (done.code, done.err) == (0, "")
    assert lines[0].split() == ["what", "changed", FIRST, SECOND]
    assert ["epochs", "300", "5"] in [line.split() for line in lines]
    assert ["verdict", "pass", "blocked"] in [line.split() for line in lines]
    assert any("budget.model_bytes" in line and "BLOCK" in line for line in lines)
    assert any(line.startswith("log loss") and "4.0000 [3." in line for line in lines)
    assert lines[-1].endswith(
        "different test examples (another data version): their metrics are not comparable"
    )
    assert "difference" not in done.out
    assert "s3cret" not in done.out


def test_of_comparable_runs_the_difference_is_told(home, jukebox):
    done = jukebox("compare", FIRST, FIRST)
    assert "nothing differs between" in done.out
    assert "+0.0000" in done.out
    assert "measured on the same test examples" in done.out


def test_two_runs_as_json(home, jukebox):
    found = jukebox("compare", "20260101", SECOND, "--json").json
    assert [run["id"] for run in found["runs"]] == [FIRST, SECOND]
    assert found["changed"]["epochs"] == [300, 5]
    assert found["metrics"]["log_loss"][0]["value"] == 4.0
    assert found["checks"]["budget.model_bytes"] == ["pass", "BLOCK"]
    assert found["comparable"] is False


@pytest.mark.parametrize("named", ["2026", "none-such", "abc", "no/such/evidence.json"])
def test_an_unknown_run_is_refused_with_the_next_command(home, jukebox, named):
    done = jukebox("compare", named, FIRST)
    assert done.code == 2
    assert "`jukebox runs`" in done.refusal
    assert jukebox("compare", FIRST, named, "--json").json["exit_code"] == 2


def test_gate_takes_a_runs_name(home, jukebox):
    assert jukebox("gate", "aaaaaa", "--json").json["passed"] is True
    assert jukebox("gate", SECOND).code == 10
    assert jukebox("gate", "2026").code == 2
    assert jukebox("gate", "missing.json").code == 40
    assert jukebox("gate", ".jukebox/runs/" + FIRST + "/evidence.json").code == 0

"""Each step announces its start, its end and its failure, for people and for the run's own log."""

from types import SimpleNamespace

import pytest

from ml.core.errors import DataError, GateBlocked, PlatformError
from ml.pipeline import step as module
from ml.pipeline.step import step


def test_a_step_reports_start_end_time_and_memory(events, capsys):
    @step
    def measure() -> str:
        return "42 rows"

    measure()
    start, end = events()
    assert (start["step"], start["event"]) == ("measure", "start")
    assert end["headline"] == "42 rows"
    assert end["seconds"] >= 0
    assert end["peak_mb"] > 1
    assert "measure: 42 rows" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "message", "kind"),
    [
        (DataError("column tempo is missing"), "column tempo is missing", "permanent"),
        (PlatformError("cannot reach the bucket"), "cannot reach the bucket", "transient"),
        (GateBlocked("1 of 2 checks failed"), "1 of 2 checks failed", "blocked"),
        (ZeroDivisionError("division\nby zero"), "ZeroDivisionError: division by zero", "a defect"),
    ],
)
def test_a_failing_step_names_its_cause_in_one_line(
    events, capsys, tmp_path, monkeypatch, error, message, kind
):
    last_word = tmp_path / "termination-log"
    last_word.touch()
    monkeypatch.setattr(module, "LAST_WORD", last_word)

    @step
    def broken() -> str:
        raise error

    with pytest.raises(SystemExit, match=message):
        broken()
    expected = {"step": "broken", "event": "error", "message": message}
    assert events()[-1] == {**expected, "blocked": kind == "blocked", "permanent": kind != "transient"}
    assert ("Traceback" in capsys.readouterr().err) is (kind == "a defect")
    # As `ml.dspa.pods` reads it: the kind of the error first.
    assert last_word.read_text() == f"{type(error).__name__}: {message.removeprefix('ZeroDivisionError: ')}"


@pytest.mark.parametrize(("system", "unit"), [("linux", 2**10), ("darwin", 2**20)])
def test_peak_memory_is_read_in_the_unit_of_the_system(monkeypatch, system, unit):
    monkeypatch.setattr(module.sys, "platform", system)
    monkeypatch.setattr(module.resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=300 * unit))
    assert module._peak_mb() == 300

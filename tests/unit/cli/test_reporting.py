"""What submit and follow print in the end: what fails and what warns, and the rest when it is asked for."""

import json

import pytest
from reports import POLICY, edited, judge, passing_reports

from ml.cli.reporting import outcome_in, reporting
from ml.core.errors import EvidenceError, GateBlocked, Interrupted, PlatformError, RunFailed, UsageError
from ml.dspa.outcome import RunOutcome

KNOWN = {"run_id": "r1", "run": "jukebox-1", "state": "SUCCEEDED", "link": "https://x", "evidence": "s3://e"}


def lines(capsys, verdict, **options) -> list[str]:
    found = RunOutcome(**KNOWN, verdict=verdict)
    if verdict.passed:
        with reporting(None, as_json=False, **options) as known:
            known.update(found.to_json())
    else:
        with pytest.raises(GateBlocked), reporting(None, as_json=False, **options):
            raise GateBlocked("blocked", found.to_json())
    return capsys.readouterr().out.splitlines()


def test_checks_that_pass_are_counted(capsys):
    verdict = judge(passing_reports())
    shown = lines(capsys, verdict)
    assert len(shown) < 10
    assert any(line.startswith("passed: ") and line.endswith("; --verbose shows each") for line in shown)
    assert any(line.startswith("PASS: ") for line in shown)


def test_each_check_is_shown_when_asked_for(capsys):
    verdict = judge(passing_reports())
    text = "\n".join(lines(capsys, verdict, verbose=True))
    assert all(check.name in text for check in verdict.checks)


def test_what_fails_is_shown_once(capsys):
    verdict = judge(edited(passing_reports(), {"serving.peak_memory_mb": 5000.0}), POLICY)
    shown = lines(capsys, verdict)
    assert [line.split()[0] for line in shown if "BLOCK" in line.split()] == ["serving.memory_mb"]
    assert len(shown) < 12


@pytest.mark.parametrize("kind", [UsageError, GateBlocked, RunFailed, EvidenceError])
def test_what_was_decided_is_kept_and_does_not_fail_the_task(tmp_path, kind):
    file = tmp_path / "outcome.json"
    with pytest.raises(kind) as caught, outcome_in(file, decided_ok=True):
        raise kind("why")
    assert caught.value.exit_code == 0
    assert json.loads(file.read_text()) == {"error": "why", "exit_code": kind.exit_code}
    assert kind("another").exit_code == kind.exit_code != 0


@pytest.mark.parametrize(
    "error",
    [
        PlatformError("away"),
        RunFailed("interrupted; run r1 was terminated", {"interrupted": True}),
        Interrupted(),
        ZeroDivisionError(),
    ],
)
def test_what_was_not_decided_fails_it(tmp_path, error):
    with pytest.raises(type(error)) as caught, outcome_in(tmp_path / "outcome.json", decided_ok=True):
        raise error
    assert getattr(caught.value, "exit_code", 1) != 0


def test_without_a_file_a_decision_would_be_lost():
    with pytest.raises(UsageError, match="--decided-ok needs --outcome"), outcome_in(None, decided_ok=True):
        raise AssertionError

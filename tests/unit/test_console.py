"""A verdict as a person sees it: whole, or folded to what did not pass."""

import pytest
from mutations import MUTATIONS
from reports import edited, judge, passing_reports

from ml.console import show_verdict

BROKEN = judge(edited(passing_reports(), MUTATIONS["evaluation.songs"].edits))
GOOD = judge(passing_reports())


def shown(capsys: pytest.CaptureFixture[str], *arguments, **options) -> list[str]:
    show_verdict(*arguments, **options)
    return [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()]


def test_each_check_is_a_line(capsys):
    lines = shown(capsys, BROKEN)
    names = [line.split()[0] for line in lines[1:-1]]
    assert names == [check.name for check in BROKEN.checks]
    assert lines[-1] == f"BLOCKED: 1 of {len(names)} checks failed"


def test_folded_only_what_did_not_pass_is_a_line_and_the_rest_is_counted(capsys):
    _, row, counted, verdict = shown(capsys, BROKEN, folded=True)
    assert row.split()[0] == "evaluation.songs"
    assert "BLOCK" in row
    numbers = [int(word.rstrip(",;")) for word in counted.split() if word.rstrip(",;").isdigit()]
    assert sum(numbers) == len(BROKEN.checks) - 1
    assert verdict.startswith("BLOCKED")


def test_folded_a_verdict_in_which_all_passes_is_two_lines(capsys):
    counted, verdict = shown(capsys, GOOD, folded=True)
    assert counted.startswith("passed: data_report 2, ")
    assert verdict == f"PASS: all {len(GOOD.checks)} checks passed"

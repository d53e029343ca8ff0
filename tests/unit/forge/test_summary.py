"""The summary of a run: its state, its sentence, and the lines that people read."""

import pytest

from ml.core.errors import UsageError
from ml.forge.outcomes import TaskOutcome
from ml.forge.summary import SKIPPABLE, read_tasks, summarise

NAMES = "fetch-source holdout answer toolchain lint unit-test build-image compile-pipeline submit-run".split()
NAMES += ["measure", "promote"]
PASSES = {"name": "data.rows", "passed": True, "reason": ""}
BLOCKS = {"name": "merit.gain", "passed": False, "reason": "0.01 is not > 0.05"}
LINK = "https://dspa.example/runs/1"
BLOCKED = "the gate blocked the model (merit.gain)"
CANCELLED = "cancelled, timed out, or stopped before promote; nothing was promoted"


def ends(*failed: str, after: str = "promote") -> dict[str, str]:
    """Return tasks that succeeded up to one, but for some that failed; the tasks after it did not start."""
    reached = dict.fromkeys(NAMES[: NAMES.index(after) + 1], "Succeeded")
    return dict.fromkeys(NAMES, "None") | reached | dict.fromkeys(failed, "Failed")


def stopped_at(*failed: str) -> dict[str, str]:
    """Return tasks of which some failed; the tasks after the first of these did not start."""
    return ends(*failed, after=min(failed, key=NAMES.index))


def outcome(code: int = 0, error: str = "", checks=(PASSES, PASSES), **about) -> TaskOutcome:
    document = {"exit_code": code, "error": error, "link": LINK, "checks": list(checks), **about}
    return TaskOutcome.load(document)


STOPPED = outcome(10, BLOCKED, [PASSES, BLOCKS])
FAILED = "promote refused or failed"
SILENT = "submit-run failed before it wrote a reason; see its log"
ANSWERED = outcome(checks=(), answered="r1")


@pytest.mark.parametrize(
    ("tasks", "known", "state", "sentence"),
    [
        (ends() | dict.fromkeys(SKIPPABLE, "None"), outcome(), "success", "promoted: 2 of 2 checks pass"),
        (ends(), None, "success", "promoted: the gate passed"),
        (ends("lint", "unit-test"), outcome(), "error", "promoted, but lint and unit-test did not succeed"),
        *((stopped_at(name), None, "failure", f"{name} failed; nothing was promoted") for name in NAMES[3:8]),
        *((stopped_at(name), None, "error", f"{name} failed; nothing was promoted") for name in NAMES[:3]),
        (stopped_at("measure"), None, "error", "measure failed; nothing was promoted"),
        (stopped_at("lint", "holdout"), None, "failure", "holdout and lint failed; nothing was promoted"),
        (stopped_at("submit-run"), STOPPED, "failure", BLOCKED),
        *((stopped_at("submit-run"), outcome(code, "why"), "error", "why") for code in (2, 20, 30, 40)),
        *((stopped_at("submit-run"), known, "error", SILENT) for known in (None, outcome())),
        (stopped_at("promote"), STOPPED, "failure", BLOCKED),
        (stopped_at("promote"), outcome(), "error", f"2 of 2 checks pass, but {FAILED}; see its log"),
        (stopped_at("promote"), outcome(30, "why", ()), "error", f"the gate passed, but {FAILED}: why"),
        *((ends(after=name), None, "error", CANCELLED) for name in NAMES[:-1]),
        (ends(after="compile-pipeline"), outcome(20, "interrupted"), "error", "interrupted"),
        (ends(), STOPPED, "failure", BLOCKED),
        (ends(after="holdout"), outcome(10, "no column", task="holdout"), "error", "no column"),
        (ends(), outcome(40, "attest it again", task="promote"), "error", "attest it again"),
        (ends(after="answer"), ANSWERED, "success", "nothing to train: run r1 passed with the same inputs"),
        (ends("lint", after="answer"), ANSWERED, "failure", "lint failed; nothing was promoted"),
    ],
)
def test_state_and_sentence(tasks, known, state, sentence):
    summary = summarise(tasks, known)
    assert (summary.state, summary.sentence) == (state, sentence)
    assert (summary.link, summary.checks) == ((known.link, known.checks) if known else ("", []))


@pytest.mark.parametrize("name", NAMES)
def test_a_run_in_which_a_task_did_not_succeed_is_no_success(name):
    for known in (None, outcome(), STOPPED):
        for end in ("Failed", *(["None"] if name not in SKIPPABLE else [])):
            assert summarise(ends() | {name: end}, known).state != "success"


def test_a_superseded_run_names_the_newer_one_unless_it_promoted():
    summary = summarise(ends(after="lint"), None, superseded_by="push-2")
    assert (summary.state, summary.sentence) == ("error", "superseded by push-2; nothing was promoted")
    assert summarise(ends(), outcome(), superseded_by="push-2").state == "success"


def test_an_outcome_of_another_commit_is_not_shown():
    ours = "a" * 40
    summary = summarise(ends(), outcome(commit="b" * 40), ours)
    assert (summary.state, summary.checks, summary.link, summary.commit) == ("error", [], "", ours[:12])
    assert summary.sentence == "the outcome of the run is about another commit; see the run's log"
    assert summarise(ends(), outcome(commit=ours, dirty=True), ours).commit == f"{ours[:12]}+dirty"


def test_the_lines_show_tasks_failing_checks_commit_and_link():
    warns = {**BLOCKS, "name": "drift.psi", "level": "warn"}
    waived = {**BLOCKS, "waiver": "waived by Ada until 2026-12-31: a new market"}
    known = outcome(checks=[PASSES, BLOCKS, warns, waived])
    assert summarise(ends(after="lint"), known, "f" * 40).lines() == [
        *(f"{name}: Succeeded" for name in NAMES[:5]),
        f"not run: {', '.join(NAMES[5:])}",
        "checks: 1 of 4 pass",
        "  merit.gain: 0.01 is not > 0.05",
        "  drift.psi: 0.01 is not > 0.05; only a warning",
        "  merit.gain: 0.01 is not > 0.05; waived by Ada until 2026-12-31: a new market",
        "commit: ffffffffffff",
        f"run: {LINK}",
        f"error: {CANCELLED}",
    ]
    assert [check.blocks for check in known.checks] == [False, True, False, False]
    assert summarise(ends(), None).lines()[len(NAMES) :] == ["success: promoted: the gate passed"]


NO_TASKS = {
    "": "promote is missing",
    "promote": "'promote'",
    "=Succeeded promote=None": "'=Succeeded'",
    "promote=$(tasks.promote.status)": "write name=Succeeded",
    "promote=Failed promote=Succeeded": "each once",
}


def test_tasks_are_parsed_and_other_text_refused():
    tasks = {"lint": "Succeeded", "unit-test": "Failed", "promote": "None"}
    assert read_tasks(" lint=Succeeded\n unit-test=Failed  promote=None ") == tasks
    for text, said in NO_TASKS.items():
        with pytest.raises(UsageError, match=said):
            read_tasks(text)


def test_a_document_that_is_not_an_outcome_is_refused_in_one_line():
    check = {"name": "a", "passed": "yes", "reason": ""}
    for document, said in (
        ([], "the document"),
        ({}, "exit_code: missing"),
        ({"exit_code": 0, "checks": [check]}, "checks.0.passed"),
    ):
        with pytest.raises(ValueError, match=rf"\A.*{said}.*\Z"):
            TaskOutcome.load(document)

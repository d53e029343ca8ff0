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


def ends(*failed: str, after: str = "promote", **others: str) -> dict[str, str]:
    """Return tasks that succeeded up to one, but for some; the tasks after it did not start."""
    reached = dict.fromkeys(NAMES[: NAMES.index(after) + 1], "Succeeded")
    others = {name.replace("_", "-"): end for name, end in others.items()}
    return dict.fromkeys(NAMES, "None") | reached | dict.fromkeys(failed, "Failed") | others


def stopped_at(*failed: str) -> dict[str, str]:
    """Return tasks of which some failed; the tasks after the first of these did not start."""
    return ends(*failed, after=min(failed, key=NAMES.index))


def outcome(code: int = 0, error: str = "", checks=(PASSES, PASSES), **about) -> TaskOutcome:
    document = {"exit_code": code, "error": error, "link": LINK, "checks": list(checks), **about}
    return TaskOutcome.load(document)


def blocked(task: str = "") -> TaskOutcome:
    return outcome(10, BLOCKED, [PASSES, BLOCKS], task=task)


FAILED = "promote refused or failed"
SILENT = "submit-run failed before it wrote a reason; see its log"
ANSWERED = outcome(checks=(), answered="r1")
CASES = [
    (ends(), outcome(), "success", "promoted: 2 of 2 checks pass"),
    (ends(), None, "success", "promoted: the gate passed"),
    (ends(lint="None", unit_test="None"), outcome(), "success", "promoted: 2 of 2 checks pass"),
    (ends("lint", "unit-test"), outcome(), "error", "promoted, but lint and unit-test did not succeed"),
    *((stopped_at(name), None, "failure", f"{name} failed; nothing was promoted") for name in NAMES[3:8]),
    *((stopped_at(name), None, "error", f"{name} failed; nothing was promoted") for name in NAMES[:3]),
    (stopped_at("measure"), None, "error", "measure failed; nothing was promoted"),
    (stopped_at("lint", "unit-test"), None, "failure", "lint and unit-test failed; nothing was promoted"),
    (stopped_at("lint", "holdout"), None, "failure", "holdout and lint failed; nothing was promoted"),
    (stopped_at("submit-run"), blocked(), "failure", BLOCKED),
    *((stopped_at("submit-run"), outcome(code, "why"), "error", "why") for code in (2, 20, 30, 40)),
    *((stopped_at("submit-run"), known, "error", SILENT) for known in (None, outcome())),
    (stopped_at("promote"), blocked(), "failure", BLOCKED),
    (stopped_at("promote"), outcome(), "error", f"2 of 2 checks pass, but {FAILED}; see its log"),
    (stopped_at("promote"), outcome(30, "why", ()), "error", f"the gate passed, but {FAILED}: why"),
    *((ends(after=name), None, "error", CANCELLED) for name in NAMES[:-1]),
    (ends(after="compile-pipeline"), outcome(20, "interrupted"), "error", "interrupted"),
    *((ends(after="submit-run"), blocked(task), "failure", BLOCKED) for task in ("answer", "submit-run")),
    (ends(), blocked("judge"), "failure", BLOCKED),
    (ends(after="holdout"), outcome(10, "no column", task="holdout"), "error", "no column"),
    (ends(), outcome(40, "attest it again", task="promote"), "error", "attest it again"),
    (ends(after="answer"), ANSWERED, "success", "nothing to train: run r1 passed with the same inputs"),
    (ends("lint", after="answer"), ANSWERED, "failure", "lint failed; nothing was promoted"),
]


@pytest.mark.parametrize(("tasks", "known", "state", "sentence"), CASES)
def test_state_and_sentence(tasks, known, state, sentence):
    summary = summarise(tasks, known)
    assert (summary.state, summary.sentence) == (state, sentence)
    assert (summary.link, summary.checks) == ((known.link, known.checks) if known else ("", []))


@pytest.mark.parametrize("known", [None, outcome(), blocked()])
def test_a_run_in_which_a_task_did_not_succeed_is_no_success(known):
    ended = [(name, "Failed") for name in NAMES] + [(name, "None") for name in NAMES if name not in SKIPPABLE]
    for name, end in ended:
        assert summarise(ends() | {name: end}, known).state != "success"


def test_a_superseded_run_names_the_newer_one_unless_it_promoted():
    summary = summarise(ends(after="lint"), None, superseded_by="push-2")
    assert (summary.state, summary.sentence) == ("error", "superseded by push-2; nothing was promoted")
    assert summarise(ends(), outcome(), superseded_by="push-2").state == "success"


def test_an_outcome_of_another_commit_is_not_shown():
    ours, other = "a" * 40, "b" * 40
    summary = summarise(ends(), outcome(commit=other), ours)
    assert (summary.state, summary.checks, summary.link, summary.commit) == ("error", [], "", ours[:12])
    assert summary.sentence == "the outcome of the run is about another commit; see the run's log"
    assert summarise(ends(), outcome(commit=ours, dirty=True), ours).commit == f"{ours[:12]}+dirty"
    assert (summarise(ends(), outcome(), ours).commit, summarise(ends(), None).commit) == (ours[:12], "")


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


def test_tasks_are_parsed():
    tasks = {"lint": "Succeeded", "unit-test": "Failed", "promote": "None"}
    assert read_tasks(" lint=Succeeded\n unit-test=Failed  promote=None ") == tasks


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "promote is missing"),
        ("lint=Succeeded", "promote is missing"),
        ("promote", "'promote'"),
        ("promote=", "'promote='"),
        ("=Succeeded promote=None", "'=Succeeded'"),
        ("promote=succeeded", "'promote=succeeded'"),
        ("promote=$(tasks.promote.status)", "write name=Succeeded"),
        ("promote=Failed promote=Succeeded", "each once"),
    ],
)
def test_a_text_without_tasks_is_refused(text, said):
    with pytest.raises(UsageError) as caught:
        read_tasks(text)
    assert said in str(caught.value)


CHECK = {"name": "a", "passed": True, "reason": "", "value": 1.5}


def test_an_outcome_may_have_more_fields():
    known = TaskOutcome.load({"exit_code": 0, "run_id": "1", "checks": [CHECK]})
    assert (known.passed, known.error, known.link) == ("1 of 1 checks pass", "", "")


@pytest.mark.parametrize(
    ("document", "said"),
    [
        *((document, "the document") for document in (None, [], "text")),
        ({}, "exit_code: missing"),
        *(({"exit_code": code}, "exit_code") for code in ("0", None)),
        *(({"exit_code": 0, "checks": checks}, "checks") for checks in ({}, ["x"])),
        ({"exit_code": 0, "checks": [{**CHECK, "passed": "yes"}]}, "checks.0.passed"),
        ({"exit_code": 0, "checks": [{"name": "a", "passed": True}]}, "checks.0.reason: missing"),
        *(({"exit_code": 0, name: 7}, name) for name in ("link", "error")),
    ],
)
def test_a_document_that_is_not_an_outcome_is_refused(document, said):
    with pytest.raises(ValueError, match=said) as caught:
        TaskOutcome.load(document)
    assert "\n" not in str(caught.value)

"""The summary of a run: whose fault, why in a sentence, and what is told to people."""

import pytest

from ml.core.errors import UsageError
from ml.forge.summary import SKIPPABLE, TaskOutcome, read_tasks, summarise

NAMES = (
    "fetch-source",
    "holdout",
    "answer",
    "toolchain",
    "lint",
    "unit-test",
    "build-image",
    "compile-pipeline",
    "submit-run",
    "measure",
    "promote",
)
PASSES = {"name": "data.rows", "passed": True, "reason": ""}
BLOCKS = {"name": "merit.gain", "passed": False, "reason": "0.01 is not > 0.05"}
LINK = "https://dspa.example/runs/1"


def ends(**other: str) -> dict[str, str]:
    """How tasks ended: as they do where all is well, but for some."""
    return dict.fromkeys(NAMES, "Succeeded") | {name.replace("_", "-"): end for name, end in other.items()}


def stopped_at(*names: str) -> dict[str, str]:
    """How tasks ended where some failed, and all that come after were not reached."""
    first = min(map(NAMES.index, names))
    after = dict.fromkeys(NAMES[first + 1 :], "None")
    return ends() | after | dict.fromkeys(names, "Failed")


def outcome(code: int = 0, error: str = "", checks=(PASSES, PASSES)) -> TaskOutcome:
    return TaskOutcome.load({"exit_code": code, "error": error, "link": LINK, "checks": list(checks)})


def test_a_promotion():
    found = summarise(ends(), outcome())
    assert (found.state, found.sentence) == ("success", "promoted: 2 of 2 checks pass")
    assert found.lines() == [
        *(f"{name}: Succeeded" for name in NAMES),
        "checks: 2 of 2 pass",
        f"run: {LINK}",
        "success: promoted: 2 of 2 checks pass",
    ]


def test_a_promotion_of_which_nothing_else_is_known():
    found = summarise(ends(), None)
    assert (found.state, found.sentence, found.link) == ("success", "promoted: the gate passed", "")


def test_a_promotion_past_a_task_is_told():
    found = summarise(ends(lint="Failed", unit_test="Failed"), outcome())
    assert (found.state, found.sentence) == ("error", "promoted, but lint and unit-test did not succeed")


@pytest.mark.parametrize("name", NAMES[3:8])
def test_a_task_before_the_submission_is_the_commits_failure(name):
    found = summarise(stopped_at(name), None)
    assert (found.state, found.sentence) == ("failure", f"{name} failed; nothing was promoted")


def test_two_that_fail_side_by_side_are_both_named():
    found = summarise(stopped_at("lint", "unit-test"), None)
    assert (found.state, found.sentence) == ("failure", "lint and unit-test failed; nothing was promoted")


@pytest.mark.parametrize("name", ["fetch-source", "holdout", "measure"])
def test_what_is_not_the_commits_is_not_its_failure(name):
    found = summarise(stopped_at(name), None)
    assert (found.state, found.sentence) == ("error", f"{name} failed; nothing was promoted")


def test_a_broken_holdout_does_not_excuse_a_broken_test():
    found = summarise(stopped_at("unit-test", "holdout"), None)
    assert (found.state, found.sentence) == ("failure", "holdout and unit-test failed; nothing was promoted")


def test_a_block_is_the_commits_failure_and_tells_which_checks():
    blocked = outcome(10, "the gate blocked the model (merit.gain)", [PASSES, BLOCKS])
    found = summarise(stopped_at("submit-run"), blocked)
    assert (found.state, found.sentence) == ("failure", "the gate blocked the model (merit.gain)")
    assert found.lines()[-4:] == [
        "checks: 1 of 2 pass",
        "  merit.gain: 0.01 is not > 0.05",
        f"run: {LINK}",
        "failure: the gate blocked the model (merit.gain)",
    ]


@pytest.mark.parametrize("code", [2, 20, 30, 40])
def test_what_else_ends_a_submission_is_not(code):
    found = summarise(stopped_at("submit-run"), outcome(code, "no answer for 10 minutes"))
    assert (found.state, found.sentence) == ("error", "no answer for 10 minutes")


@pytest.mark.parametrize("known", [None, outcome()])
def test_a_submission_that_says_nothing(known):
    found = summarise(stopped_at("submit-run"), known)
    assert (found.state, found.sentence) == (
        "error",
        "submit-run failed before it wrote a reason; see its log",
    )


def test_a_model_that_the_judge_blocks_is_the_commits_failure():
    blocked = outcome(10, "the gate blocked the model (merit.gain)", [PASSES, BLOCKS])
    found = summarise(stopped_at("promote"), blocked)
    assert (found.state, found.sentence) == ("failure", "the gate blocked the model (merit.gain)")


@pytest.mark.parametrize("code", [20, 30, 40])
def test_what_else_ends_a_promotion_is_not(code):
    found = summarise(stopped_at("promote"), outcome(code, "no answer"))
    assert (found.state, "promote refused or failed" in found.sentence) == ("error", True)


def test_an_outcome_of_another_commit_is_not_told():
    ours, other = "a" * 40, "b" * 40
    known = TaskOutcome.load({"exit_code": 0, "link": LINK, "commit": other, "checks": [PASSES]})
    found = summarise(ends(), known, ours)
    assert (found.state, found.checks, found.link) == ("error", [], "")
    assert found.sentence == "the outcome of the run is about another commit; see the run's log"
    assert other[:7] not in " ".join(found.lines())
    assert summarise(ends(), known, other).state == "success"


def test_a_promotion_that_is_refused():
    found = summarise(stopped_at("promote"), outcome())
    assert found.state == "error"
    assert found.sentence == "2 of 2 checks pass, but promote refused or failed; see its log"


@pytest.mark.parametrize("reached", range(len(NAMES)))
def test_a_run_that_is_stopped(reached):
    tasks = ends() | dict.fromkeys(NAMES[reached:], "None")
    found = summarise(tasks, None)
    assert found.state == "error"
    assert found.sentence == "cancelled, timed out, or stopped before promote; nothing was promoted"


def test_a_run_that_is_stopped_while_it_is_followed_says_what_it_knows():
    found = summarise(ends(submit_run="None", promote="None"), outcome(20, "interrupted"))
    assert (found.state, found.sentence) == ("error", "interrupted")


@pytest.mark.parametrize(
    ("name", "end"),
    [*((name, "Failed") for name in NAMES), *((name, "None") for name in NAMES if name not in SKIPPABLE)],
)
@pytest.mark.parametrize("known", [None, outcome(), outcome(10, "blocked")])
def test_nothing_but_all_is_a_success(name, end, known):
    assert summarise(ends() | {name: end}, known).state != "success"


def test_tasks_are_read():
    assert read_tasks(" lint=Succeeded\n unit-test=Failed  promote=None ") == {
        "lint": "Succeeded",
        "unit-test": "Failed",
        "promote": "None",
    }


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
def test_what_are_no_tasks(text, said):
    with pytest.raises(UsageError) as caught:
        read_tasks(text)
    assert said in str(caught.value)


def test_an_outcome_has_more_than_a_summary_takes():
    found = TaskOutcome.load(
        {"exit_code": 0, "run_id": "1", "checks": [{**PASSES, "value": 1.5, "bound": 1}]}
    )
    assert (found.passed, found.error, found.link) == ("1 of 1 checks pass", "", "")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (None, "the document"),
        ([], "the document"),
        ("text", "the document"),
        ({}, "exit_code: missing"),
        ({"exit_code": "0"}, "exit_code"),
        ({"exit_code": None}, "exit_code"),
        ({"exit_code": 0, "checks": {}}, "checks"),
        ({"exit_code": 0, "checks": ["x"]}, "checks.0"),
        ({"exit_code": 0, "checks": [{"name": "a", "passed": "yes", "reason": ""}]}, "checks.0.passed"),
        ({"exit_code": 0, "checks": [{"name": "a", "passed": True}]}, "checks.0.reason: missing"),
        ({"exit_code": 0, "link": 7}, "link"),
        ({"exit_code": 0, "error": ["x"]}, "error"),
    ],
)
def test_what_is_no_outcome(found, said):
    with pytest.raises(ValueError, match=said) as caught:
        TaskOutcome.load(found)
    assert "\n" not in str(caught.value)


def test_a_warning_and_a_waived_check_are_told_although_the_model_passed():
    warns = {**BLOCKS, "name": "drift.psi", "level": "warn"}
    waived = {**BLOCKS, "waiver": "waived by Ada until 2026-12-31: a new market"}
    found = summarise(ends(), outcome(checks=[PASSES, warns, waived]))
    assert found.state == "success"
    assert found.lines()[len(NAMES) :][:3] == [
        "checks: 1 of 3 pass",
        "  drift.psi: 0.01 is not > 0.05; only a warning",
        "  merit.gain: 0.01 is not > 0.05; waived by Ada until 2026-12-31: a new market",
    ]


def test_the_commit_is_told_with_the_changes_that_were_not_in_it():
    told = {"exit_code": 0, "commit": "3f2a91c0d4e5" + "0" * 28, "dirty": True}
    assert "commit: 3f2a91c0d4e5+dirty" in summarise(ends(), TaskOutcome.load(told), told["commit"]).lines()
    assert "commit: ffffffffffff" in summarise(ends(), outcome(), "f" * 40).lines()
    assert not [line for line in summarise(ends(), None).lines() if line.startswith("commit")]


def decided(task: str, code: int, error: str) -> TaskOutcome:
    """What a task says that has decided against the run, and so has succeeded."""
    return TaskOutcome.load({"exit_code": code, "error": error, "task": task, "checks": [PASSES, BLOCKS]})


def test_what_has_passed_before_may_be_left_out():
    found = summarise(ends(lint="None", unit_test="None"), outcome())
    assert (found.state, found.sentence) == ("success", "promoted: 2 of 2 checks pass")


@pytest.mark.parametrize("task", ["answer", "submit-run", "judge"])
def test_a_block_ends_its_task_well_and_is_the_commits_failure(task):
    tasks = ends(measure="None", promote="None" if task != "judge" else "Succeeded")
    found = summarise(tasks, decided(task, 10, "blocked (merit.gain)"))
    assert (found.state, found.sentence) == ("failure", "blocked (merit.gain)")


def test_tables_that_break_the_contract_are_not():
    tasks = ends() | dict.fromkeys(NAMES[2:], "None")
    found = summarise(tasks, decided("holdout", 10, "rankings: column daily_rank is missing"))
    assert (found.state, found.sentence) == ("error", "rankings: column daily_rank is missing")


def test_a_promotion_that_is_refused_is_not():
    found = summarise(ends(), decided("promote", 40, "attest it again"))
    assert (found.state, found.sentence) == ("error", "attest it again")


ANSWERED = TaskOutcome.load({"exit_code": 0, "answered": "r1", "link": LINK})


def test_a_push_that_is_answered_is_a_success_and_says_from_what():
    found = summarise(ends() | dict.fromkeys(NAMES[3:], "None"), ANSWERED)
    assert (found.state, found.link) == ("success", LINK)
    assert found.sentence == "nothing to train: run r1 passed with the same inputs"
    told = found.lines()
    assert told[:3] == [f"{name}: Succeeded" for name in NAMES[:3]]
    assert told[3] == f"not run: {', '.join(NAMES[3:])}"


@pytest.mark.parametrize("name", NAMES[3:6])
def test_but_its_lint_and_tests_count(name):
    found = summarise(ends() | dict.fromkeys(NAMES[3:], "None") | {name: "Failed"}, ANSWERED)
    assert (found.state, found.sentence) == ("failure", f"{name} failed; nothing was promoted")


def test_a_run_that_is_superseded_says_by_which():
    tasks = ends() | dict.fromkeys(NAMES[4:], "None")
    found = summarise(tasks, None, superseded_by="push-2")
    assert (found.state, found.sentence) == ("error", "superseded by push-2; nothing was promoted")
    assert summarise(ends(), outcome(), superseded_by="push-2").state == "success"

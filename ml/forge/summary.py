"""Summarise a pipeline run: the end of each task, the gate's checks, and the reason in one sentence."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from ml.core.errors import GateBlocked, UsageError
from ml.core.version import short_commit
from ml.forge.outcomes import CheckResult, TaskOutcome

State = Literal["success", "failure", "error"]
ENDS = ("Succeeded", "Failed", "None")
"""Tekton's states of a task at the end. ``None``: skipped, cancelled, or never started."""

SUBMISSION = "submit-run"
DECISIVE = "promote"
SKIPPABLE = {"lint", "unit-test"}
"""Tasks that `jukebox ci answer` skips if they passed on the same files before."""

SOURCE_TABLES = "holdout"
PLATFORM_TASKS = {"fetch-source", SOURCE_TABLES, "answer", "measure"}
"""Tasks that fail because of the repository, the source tables, the registry or the judge, not the commit."""


class Summary(BaseModel):
    """The summary of a run. The state ``failure`` is caused by the commit, ``error`` by something else.

    ``commit`` is the short form of the commit that was trained from, "" if none was fetched.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: State
    sentence: str
    tasks: dict[str, str]
    checks: list[CheckResult]
    link: str
    commit: str

    def lines(self) -> list[str]:
        """Return the summary as lines of text."""
        failing = [check for check in self.checks if not check.passed]
        lines = [f"{name}: {end}" for name, end in self.tasks.items() if end != "None"]
        if skipped := [name for name, end in self.tasks.items() if end == "None"]:
            lines.append(f"not run: {', '.join(skipped)}")
        if self.checks:
            lines.append(f"checks: {len(self.checks) - len(failing)} of {len(self.checks)} pass")
        lines += [check.line for check in failing]
        if self.commit:
            lines.append(f"commit: {self.commit}")
        if self.link:
            lines.append(f"run: {self.link}")
        return [*lines, f"{self.state}: {self.sentence}"]


def read_tasks(text: str) -> dict[str, str]:
    """Parse the ends of tasks, as ``lint=Succeeded unit-test=Failed``.

    Raises:
        UsageError: a word does not have that form, or the task `promote` is missing.
    """
    tasks = {}
    for word in text.split():
        name, _, end = word.partition("=")
        if not name or end not in ENDS or name in tasks:
            raise UsageError(f"--tasks {word!r}: write name=Succeeded, name=Failed or name=None, each once")
        tasks[name] = end
    if DECISIVE not in tasks:
        raise UsageError(f"--tasks: {DECISIVE} is missing; give the end of this task too")
    return tasks


def summarise(
    tasks: dict[str, str], outcome: TaskOutcome | None, commit: str = "", superseded_by: str = ""
) -> Summary:
    """Summarise a run.

    Args:
        tasks: the end of each task, in their order; includes `promote`.
        outcome: the outcome of the submission, or of the decision after it; None if neither was reached.
        commit: the commit that was fetched; "" if none was.
        superseded_by: the newer run that ended this one; "" for none.
    """
    if outcome and commit and outcome.commit not in ("", commit):
        sentence = "the outcome of the run is about another commit; see the run's log"
        return Summary(
            state="error", sentence=sentence, tasks=tasks, checks=[], link="", commit=short_commit(commit)
        )
    state, sentence = _judge(tasks, outcome)
    if superseded_by and tasks[DECISIVE] != "Succeeded":
        state, sentence = "error", f"superseded by {superseded_by}; nothing was promoted"
    return Summary(
        state=state,
        sentence=sentence,
        tasks=tasks,
        checks=outcome.checks if outcome else [],
        link=outcome.link if outcome else "",
        commit=short_commit(outcome.commit, dirty=outcome.dirty)
        if outcome and outcome.commit
        else short_commit(commit),
    )


def _judge(tasks: dict[str, str], outcome: TaskOutcome | None) -> tuple[State, str]:
    failed = [name for name, end in tasks.items() if end == "Failed"]
    early = [name for name in failed if name not in (SUBMISSION, DECISIVE)]
    if tasks[DECISIVE] == "Succeeded" and not (outcome and outcome.error):
        passed_before = {name for name, end in tasks.items() if end == "None"} & SKIPPABLE
        others = [name for name, end in tasks.items() if end != "Succeeded" and name not in passed_before]
        if others:
            return "error", f"promoted, but {_listed(others)} did not succeed"
        unchanged = outcome is not None and outcome.unchanged
        done = "nothing to promote, this model is in production already" if unchanged else "promoted"
        return "success", f"{done}: {_passed(outcome)}"
    if early:
        state: State = "error" if PLATFORM_TASKS.issuperset(early) else "failure"
        return state, f"{_listed(early)} failed; nothing was promoted"
    if outcome and outcome.answered:
        return "success", f"nothing to train: run {outcome.answered} passed with the same inputs"
    return _unpromoted(failed, outcome)


def _unpromoted(failed: list[str], outcome: TaskOutcome | None) -> tuple[State, str]:
    """Return state and sentence of a run that ended at the submission, at the decision, or before."""
    # A block by the gate is caused by the commit; other errors of a submission or a promotion are not.
    blocked = (
        outcome is not None and outcome.exit_code == GateBlocked.exit_code and outcome.task != SOURCE_TABLES
    )
    if outcome and outcome.error and (blocked or DECISIVE not in failed):
        return "failure" if blocked else "error", outcome.error
    if DECISIVE in failed:
        why = f": {outcome.error}" if outcome and outcome.error else "; see its log"
        return "error", f"{_passed(outcome)}, but promote refused or failed{why}"
    if SUBMISSION in failed:
        return "error", f"{SUBMISSION} failed before it wrote a reason; see its log"
    return "error", "cancelled, timed out, or stopped before promote; nothing was promoted"


def _passed(outcome: TaskOutcome | None) -> str:
    return outcome.passed if outcome else "the gate passed"


def _listed(names: list[str]) -> str:
    return " and ".join(names)

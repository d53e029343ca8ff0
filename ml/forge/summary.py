"""Sum up a pipeline run: how each task ended, what the gate said, and in one sentence why it ended so."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ml.core.errors import GateBlocked, UsageError
from ml.core.records import first_problem
from ml.core.version import short_commit

State = Literal["success", "failure", "error"]
ENDS = ("Succeeded", "Failed", "None")
"""What Tekton says of a task: ``None`` was skipped, cancelled, or never reached."""

SUBMISSION = "submit-run"
DECISIVE = "promote"
SKIPPABLE = {"lint", "unit-test"}
"""Tasks that `answer` skips where they have passed on the same files before."""

SOURCE_TABLES = "holdout"
OTHERS = {"fetch-source", SOURCE_TABLES, "answer", "measure"}
"""Tasks whose failure is that of repository, source tables, registry or judge, and not the commit's."""


class Checked(BaseModel):
    """A check of the gate, as far as a summary tells it."""

    model_config = ConfigDict(frozen=True, strict=True)

    name: str
    passed: bool
    reason: str
    level: str = "block"
    waiver: str = ""

    @property
    def blocks(self) -> bool:
        """Whether it failed, and neither its level nor a waiver excuses it."""
        return not self.passed and self.level == "block" and not self.waiver

    @property
    def line(self) -> str:
        """What is said of it, where it did not pass."""
        aside = self.waiver or ("only a warning" if self.level == "warn" else "")
        return f"  {self.name}: {'; '.join(filter(None, (self.reason, aside)))}"


class TaskOutcome(BaseModel):
    """The outcome files of a run (--outcome) in one record, as far as summary and verdict read them.

    ``task`` is the name of the last file. ``inputs`` is the key of the run's inputs, and ``policy_digest``
    their policy. ``judged_by`` is the policy that the judge decided by, "" before the judge has decided.
    ``champion`` is the candidate in production at that time, None where it is not known. ``answered`` is the
    earlier run that answers for this one, "" for none. ``interrupted``: the error is no decision.
    """

    model_config = ConfigDict(frozen=True, strict=True)

    exit_code: int
    task: str = ""
    error: str = ""
    interrupted: bool = False
    inputs: str = ""
    policy_digest: str = ""
    judged_by: str = ""
    run_id: str = ""
    candidate: str = ""
    champion: str | None = None
    promotion: int = 0
    answered: str = ""
    link: str = ""
    commit: str = ""
    dirty: bool = False
    unchanged: bool = False
    checks: list[Checked] = []

    @classmethod
    def load(cls, found: Any) -> "TaskOutcome":
        """Read what was parsed.

        Raises:
            ValueError: it is something else; the message is one line.
        """
        try:
            return cls.model_validate(found)
        except ValidationError as error:
            raise ValueError(first_problem(error)) from error

    @property
    def passed(self) -> str:
        """How many checks pass."""
        count, passing = len(self.checks), sum(check.passed for check in self.checks)
        return f"{passing} of {count} checks pass" if count else "the gate passed"


class Summary(BaseModel):
    """A run in brief. ``failure`` is the commit's fault, ``error`` somebody else's.

    ``commit`` is what was trained from, as people are shown it, "" where none was fetched.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: State
    sentence: str
    tasks: dict[str, str]
    checks: list[Checked]
    link: str
    commit: str

    def lines(self) -> list[str]:
        """Return the summary for people."""
        failing = [check for check in self.checks if not check.passed]
        told = [f"{name}: {end}" for name, end in self.tasks.items() if end != "None"]
        if skipped := [name for name, end in self.tasks.items() if end == "None"]:
            told.append(f"not run: {', '.join(skipped)}")
        if self.checks:
            told.append(f"checks: {len(self.checks) - len(failing)} of {len(self.checks)} pass")
        told += [check.line for check in failing]
        if self.commit:
            told.append(f"commit: {self.commit}")
        if self.link:
            told.append(f"run: {self.link}")
        return [*told, f"{self.state}: {self.sentence}"]


def read_tasks(text: str) -> dict[str, str]:
    """Read how tasks ended, as ``lint=Succeeded unit-test=Failed``.

    Raises:
        UsageError: a word is not of that form, or `promote` is not among them.
    """
    tasks = {}
    for word in text.split():
        name, _, end = word.partition("=")
        if not name or end not in ENDS or name in tasks:
            raise UsageError(f"--tasks {word!r}: write name=Succeeded, name=Failed or name=None, each once")
        tasks[name] = end
    if DECISIVE not in tasks:
        raise UsageError(f"--tasks: {DECISIVE} is not among them, and it decides")
    return tasks


def summarise(
    tasks: dict[str, str], outcome: TaskOutcome | None, commit: str = "", superseded_by: str = ""
) -> Summary:
    """Sum up a run.

    Args:
        tasks: how each task ended, in their order; `promote` is one of them.
        outcome: what is known of the submission, or of the decision after it; None where neither was reached.
        commit: the commit that was fetched; "" where none was.
        superseded_by: the newer run that has ended this one; "" where none has.
    """
    if outcome and commit and outcome.commit not in ("", commit):
        told = "what is known of the run is about another commit; see its log"
        return Summary(
            state="error", sentence=told, tasks=tasks, checks=[], link="", commit=short_commit(commit)
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
        same = outcome is not None and outcome.unchanged
        done = "nothing to promote, this model is in production already" if same else "promoted"
        return "success", f"{done}: {_passed(outcome)}"
    if early:
        whose: State = "error" if OTHERS.issuperset(early) else "failure"
        return whose, f"{_listed(early)} failed; nothing was promoted"
    if outcome and outcome.answered:
        return "success", f"nothing to train: run {outcome.answered} passed with the same inputs"
    return _unpromoted(failed, outcome)


def _unpromoted(failed: list[str], outcome: TaskOutcome | None) -> tuple[State, str]:
    """Judge a run that ended at submission or decision, or before."""
    # The gate's answer is about the commit; everything else that ends a submission or a promotion is not.
    blocked = (
        outcome is not None and outcome.exit_code == GateBlocked.exit_code and outcome.task != SOURCE_TABLES
    )
    if outcome and outcome.error and (blocked or DECISIVE not in failed):
        return "failure" if blocked else "error", outcome.error
    if DECISIVE in failed:
        why = f": {outcome.error}" if outcome and outcome.error else "; see its log"
        return "error", f"{_passed(outcome)}, but promote refused or failed{why}"
    silent = f"{SUBMISSION} failed before it could say why; see its log"
    stopped = "cancelled, timed out, or stopped before promote; nothing was promoted"
    return "error", silent if SUBMISSION in failed else stopped


def _passed(outcome: TaskOutcome | None) -> str:
    return outcome.passed if outcome else "the gate passed"


def _listed(names: list[str]) -> str:
    return " and ".join(names)

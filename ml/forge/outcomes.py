"""The outcome of a run as one record, from the outcome files of its Tasks."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from ml.core.records import first_problem


class CheckResult(BaseModel):
    """The result of a check of the gate: the fields that a summary shows."""

    model_config = ConfigDict(frozen=True, strict=True)

    name: str
    passed: bool
    reason: str
    level: str = "block"
    waiver: str = ""

    @property
    def blocks(self) -> bool:
        """Whether the check failed with level "block" and without a waiver."""
        return not self.passed and self.level == "block" and not self.waiver

    @property
    def line(self) -> str:
        """The line of a summary for a check that did not pass."""
        note = self.waiver or ("only a warning" if self.level == "warn" else "")
        return f"  {self.name}: {'; '.join(filter(None, (self.reason, note)))}"


class TaskOutcome(BaseModel):
    """The outcome files of a run (--outcome) as one record, with the fields that summary and verdict read.

    ``task`` is the name of the last file. ``inputs`` is the key of the run's inputs, ``policy_digest`` the
    digest of their policy. ``judged_by`` is the digest of the judge's policy, "" before the judge decided.
    ``champion`` is the candidate in production at that time, None if unknown. ``answered`` is the earlier run
    whose decision is used for this one, "" for none. ``interrupted``: the error is not a decision.
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
    checks: list[CheckResult] = []

    @classmethod
    def load(cls, value: Any) -> "TaskOutcome":
        """Return the record of a parsed JSON value.

        Raises:
            ValueError: the value is not such a record; the message is one line.
        """
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise ValueError(first_problem(error)) from error

    @property
    def passed(self) -> str:
        """The number of checks that pass, as text."""
        count, passing = len(self.checks), sum(check.passed for check in self.checks)
        return f"{passing} of {count} checks pass" if count else "the gate passed"

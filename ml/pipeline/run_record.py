"""One local run as a record: its parameters, how it ended, and what was measured."""

import contextlib
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from ml.core.records import Record
from ml.core.version import short_commit
from ml.gate.evidence import Evidence
from ml.gate.subjects.evaluation import Evaluation

R = TypeVar("R", bound=Record)


State = Literal["pass", "blocked", "failed", "interrupted", "running", "broken"]


class Parameters(BaseModel):
    """The parameters of a run, from ``parameters.json``."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    problem: str
    table_uris: dict[str, str]
    hyperparameters: dict[str, Any]
    snapshot_uri: str = ""
    commit: str
    dirty: bool
    nonce: str
    data_version: str
    champion: str
    image: str
    policy: str
    model_name: str
    model_version: str
    store_uri: str


class Run(BaseModel):
    """A run, as far as its folder tells; "" and None stand for unknown.

    ``state`` says how it ended, ``step`` at which step it failed or stopped, ``problem`` why. ``source`` is
    where the tables came from, without secrets. ``promotion`` is the number under which its candidate was
    promoted, where the store is a folder.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    id: str
    where: Path
    state: State
    started: str = ""
    step: str = ""
    problem: str = ""
    problem_name: str = ""
    commit: str = ""
    dirty: bool = False
    source: str = ""
    synthetic: bool | None = None
    data_version: str = ""
    image: str = ""
    policy: str = ""
    model_name: str = ""
    model_version: str = ""
    champion: str | None = None
    hyperparameters: dict[str, Any] = {}
    evidence: Evidence | None = None
    promotion: int | None = None

    @property
    def verdict(self) -> str:
        """How it ended, in a word or two."""
        return f"{self.state}: {self.step}" if self.step else self.state

    @property
    def code(self) -> str:
        """The commit as people are shown it."""
        return short_commit(self.commit, dirty=self.dirty)

    def report(self, kind: type[R], name: str) -> R | None:
        """Return a report of the evidence, None where there is none that can be read."""
        with contextlib.suppress(TypeError, ValueError):
            return kind.load(self.evidence.reports.get(name)) if self.evidence else None
        return None

    @property
    def evaluation(self) -> Evaluation | None:
        """What was measured on the test examples."""
        return self.report(Evaluation, "evaluation")

    @property
    def log_loss(self) -> float | None:
        """The log loss on the test examples, in nats."""
        return self.evaluation.model.log_loss.value if self.evaluation else None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON; of the evidence, the log loss."""
        return {**self.model_dump(mode="json", exclude={"evidence"}), "log_loss": self.log_loss}

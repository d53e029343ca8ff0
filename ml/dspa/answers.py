"""The fields of the DSPA's answers that jukebox reads.

Unknown fields are ignored: another version of the server may send more.
"""

import contextlib
import datetime
from typing import Annotated, Any

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

IDENTIFIER = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"


UNSPECIFIED = "RUNTIME_STATE_UNSPECIFIED"


Identifier = Annotated[str, Field(pattern=IDENTIFIER)]


Nothing = BeforeValidator(lambda value: {} if value is None else value)
"""Reads null as an empty object."""


def _shown(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    """Read a field that is only displayed; an invalid one becomes empty and does not invalidate the run."""
    candidates: tuple[Any, ...] = (value, {}, ())
    for candidate in candidates:
        with contextlib.suppress(ValidationError):
            return read(candidate)
    return None


Shown = WrapValidator(_shown)


class Answer(BaseModel):
    """The base of all answers: the fields that jukebox reads."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Task(Answer):
    """A node of the workflow, for display only: it has no inputs, outputs or errors."""

    name: str = ""
    display_name: str = ""
    state: str = UNSPECIFIED


class Details(Answer):
    """The tasks of a run, as older servers list them."""

    task_details: tuple[Task, ...] = ()


class Change(Answer):
    """An entry of the state history of a run."""

    state: str = UNSPECIFIED


class RuntimeConfig(Answer):
    """The configuration that a run was started with."""

    parameters: dict[str, Any] = {}
    pipeline_root: str = ""


class Run(Answer):
    """A run, as the API server returns it."""

    run_id: Identifier
    experiment_id: Identifier
    display_name: str
    description: Annotated[str, BeforeValidator(lambda text: text if isinstance(text, str) else "")] = ""
    state: str = UNSPECIFIED
    storage_state: str = ""
    created_at: AwareDatetime
    runtime_config: Annotated[RuntimeConfig, Nothing] = RuntimeConfig()
    pipeline_spec: Any = None
    service_account: str = ""
    run_details: Annotated[Details, Shown] = Details()
    tasks: Annotated[tuple[Task, ...], Shown] = ()
    state_history: Annotated[tuple[Change, ...], Shown] = ()

    @property
    def cancelled(self) -> bool:
        """Whether the run was cancelled; servers report such a run as FAILED.

        The state history shows it, unless the run ended at once. Without a workflow a run stays CANCELING.
        """
        states = {self.state, *(change.state for change in self.state_history)}
        return not states.isdisjoint(("CANCELING", "CANCELED"))

    @property
    def given_up(self) -> bool:
        """Whether another run of the attempt may replace it: a submitter archives what it cancels."""
        return self.cancelled or (self.state == "FAILED" and self.storage_state == "ARCHIVED")

    @property
    def age(self) -> tuple[datetime.datetime, str]:
        """The sort key from the oldest run to the newest, the same for every client."""
        return self.created_at, self.run_id


class Experiment(Answer):
    """A folder of runs."""

    experiment_id: Identifier
    display_name: str
    storage_state: str = ""

    @property
    def archived(self) -> bool:
        """Whether the dashboard lists it among the archived experiments."""
        return self.storage_state == "ARCHIVED"


class Health(Answer):
    """The server's version."""

    tag_name: str = ""
    commit_sha: str = ""
    multi_user: bool = False

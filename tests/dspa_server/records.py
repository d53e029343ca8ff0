"""What the server keeps and what it is told: requests, scripts, runs, experiments, pipelines."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEVER = datetime(1, 1, 1, tzinfo=UTC)
"""How the end of a node that has not ended is written."""

TERMINAL = frozenset({"SUCCEEDED", "SKIPPED", "FAILED", "CANCELED"})


@dataclass(frozen=True)
class Request:
    """A request as it came in; ``kind`` says which call of the API it is."""

    number: int
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    kind: str
    ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Script:
    """How a run goes, counted in answered GETs of that run."""

    pending: int = 1
    running: int = 2
    final: str = "SUCCEEDED"
    states: tuple[str | None, ...] | None = None
    """One a GET, the last for ever; None leaves the field out."""
    tasks: tuple[str, ...] = ()
    """The names of the tasks; the default is the IR's."""
    vanish_after: int | None = None
    never_ends: bool = False
    failed_task: str | None = None
    canceling: int | None = 2
    """How many GETs show CANCELING after a termination; None: all."""
    canceled: str = "FAILED"
    """What a terminated run ends as."""


class Execution(Protocol):
    """A run that is really executed; a `subprocess.Popen` will do."""

    def poll(self) -> int | None:
        """Return the exit code, or None."""

    def kill(self) -> None:
        """End it now."""


@dataclass
class RunRecord:
    """A run as the server keeps it."""

    run_id: str
    display_name: str
    experiment_id: str
    parameters: dict[str, Any]
    pipeline_spec: dict[str, Any]
    platform_spec: dict[str, Any]
    created_at: datetime
    description: str = ""
    pipeline_root: str = ""
    service_account: str = ""
    reference: dict[str, str] | None = None
    script: Script = field(default_factory=Script)
    process: Execution | None = None
    state: str | None = "PENDING"
    state_history: list[tuple[datetime, str]] = field(default_factory=list)
    finished_at: datetime = EPOCH
    storage_state: str = "AVAILABLE"
    gets: int = 0
    turn: int = 0
    """GETs since the run began, or was retried."""
    running_gets: int = 0
    tasks_done: int = 0
    terminated: bool = False
    terminated_turn: int = 0
    ended_turn: int | None = None
    hidden_lists: int = 0

    @property
    def vanished(self) -> bool:
        """Whether the script has it gone by now."""
        limit = self.script.vanish_after
        return limit is not None and self.gets >= limit


@dataclass
class Experiment:
    """An experiment as the server keeps it."""

    display_name: str
    created_at: datetime
    description: str = ""
    experiment_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    storage_state: str = "AVAILABLE"
    last_run_created_at: datetime = EPOCH


@dataclass
class Pipeline:
    """An uploaded pipeline, or a version of one."""

    display_name: str
    created_at: datetime
    description: str = ""
    pipeline_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    version_id: str = ""
    documents: tuple[dict[str, Any], dict[str, Any]] = field(default_factory=lambda: ({}, {}))


def timestamp(moment: datetime) -> str:
    """Write a moment as the server does: UTC, whole seconds."""
    return f"{moment.replace(microsecond=0, tzinfo=None).isoformat()}Z"


def message(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Write a message as the server does: without its empty fields."""
    return {name: value for name, value in fields.items() if value not in (None, "", 0, [], {})}


def struct(value: Any) -> Any:
    """Pass a value through google.protobuf.Struct: numbers are doubles, written as short as it goes."""
    if isinstance(value, Mapping):
        return {str(name): struct(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [struct(item) for item in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
        return int(number) if number.is_integer() and abs(number) < 1e21 else number
    return value

"""What the server keeps: requests, runs, experiments; and the versions of servers that it can be."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEVER = EPOCH.replace(year=1)  # how the end of a node that has not ended is written
TERMINAL = frozenset({"SUCCEEDED", "SKIPPED", "FAILED", "CANCELED"})


@dataclass(frozen=True)
class Profile:
    """A server's version, as far as a client can tell."""

    tag_name: str
    unknown_spec_fields: tuple[
        str, ...
    ] = ()  # of the IR, newer than this server, which refuses the whole spec
    task_details: bool = True  # a run has its workflow's nodes; else `?view=FULL` returns tasks


PROFILES = {
    "2.5": Profile("2.5.0", ("pipelineConfig", "taskConfigPassthroughs", "cacheKey")),
    "2.16": Profile("2.16.1"),
    "next": Profile("2.99.0", task_details=False),
}


@dataclass(frozen=True)
class Request:
    """A request; ``kind`` is the call of the API."""

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
    """How a run proceeds, counted in answered GETs of that run."""

    pending: int = 1
    running: int = 2
    final: str = "SUCCEEDED"
    states: tuple[str | None, ...] | None = None  # one for each GET, the last for ever; None omits the field
    vanish_after: int | None = None
    never_ends: bool = False
    failed_task: str | None = None
    canceling: int | None = 2  # how many GETs show CANCELING after a termination; None: all
    canceled: str = "FAILED"  # the final state of a terminated run


@dataclass
class RunRecord:
    """A run as the server keeps it. With ``reference`` an answer has a pipeline version, not the spec."""

    display_name: str
    experiment_id: str
    parameters: dict[str, Any]
    pipeline_spec: dict[str, Any]
    platform_spec: dict[str, Any]
    created_at: datetime
    description: str = ""
    pipeline_root: str = ""
    service_account: str = "pipeline-runner-dspa"
    run_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    reference: dict[str, str] | None = None
    script: Script = field(default_factory=Script)
    process: Any = None
    state: str | None = "PENDING"
    state_history: list[tuple[datetime, str]] = field(default_factory=list)
    finished_at: datetime = EPOCH
    storage_state: str = "AVAILABLE"
    gets: int = 0
    turn: int = 0  # GETs since the run started or was retried
    terminated: bool = False
    terminated_turn: int = 0
    ended_turn: int | None = None
    hidden_lists: int = 0

    @property
    def vanished(self) -> bool:
        """Whether the script has removed it."""
        return self.script.vanish_after is not None and self.gets >= self.script.vanish_after


@dataclass
class Experiment:
    display_name: str
    created_at: datetime
    description: str = ""
    experiment_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    storage_state: str = "AVAILABLE"


def timestamp(moment: datetime) -> str:
    """Return a moment as the server writes it: UTC, whole seconds."""
    return f"{moment.replace(microsecond=0, tzinfo=None).isoformat()}Z"


def message(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message as the server writes it: without its empty fields."""
    return {name: value for name, value in fields.items() if value not in (None, "", 0, [], {})}


def struct(value: Any) -> Any:
    """Return a value as google.protobuf.Struct writes it: numbers are doubles in their shortest form."""
    if isinstance(value, dict):
        return {name: struct(item) for name, item in value.items()}
    if isinstance(value, list):
        return [struct(item) for item in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
        return int(number) if number.is_integer() and abs(number) < 1e21 else number
    return value

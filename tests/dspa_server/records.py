"""What the server keeps: requests, runs, experiments; and the versions of servers that it can be."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEVER = datetime(1, 1, 1, tzinfo=UTC)
"""How the end of a node that has not ended is written."""

TERMINAL = frozenset({"SUCCEEDED", "SKIPPED", "FAILED", "CANCELED"})
RUN_FIELDS = frozenset(
    "experiment_id run_id display_name storage_state description pipeline_version_id pipeline_spec"
    " pipeline_version_reference runtime_config service_account created_at scheduled_at finished_at state"
    " error run_details recurring_run_id state_history".split()
)
"""The fields of a run that every v2beta1 server knows."""


@dataclass(frozen=True)
class Profile:
    """A server's version, as far as a client can tell."""

    tag_name: str
    commit_sha: str
    run_fields: frozenset[str]
    unknown_spec_fields: frozenset[str] = frozenset()
    """Fields of the IR that are newer than this server; it refuses the whole spec."""
    gateway: int = 2
    task_details: bool = True
    """Whether a run has its workflow's nodes; without, `?view=FULL` returns tasks."""


PLUGINS = {"plugins_input", "plugins_output"}
NEWER = {"pipelineConfig", "taskConfigPassthroughs", "cacheKey"}
PROFILES = {
    "2.5": Profile("2.5.0", "8c6d6a0e2f5b4a1d9c3e7f6a5b4c3d2e1f0a9b8c", RUN_FIELDS, frozenset(NEWER), 1),
    "2.16": Profile("2.16.1", "537860c41d1f4a0b8e2c6a7d9b5e3f1c0a4d8e6f", RUN_FIELDS | PLUGINS),
    "next": Profile(
        "2.99.0",
        "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c",
        RUN_FIELDS | PLUGINS | {"task_count", "tasks", "namespace", "pipeline_reference"},
        task_details=False,
    ),
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
    states: tuple[str | None, ...] | None = None
    """One for each GET, the last for ever; None omits the field."""
    vanish_after: int | None = None
    never_ends: bool = False
    failed_task: str | None = None
    canceling: int | None = 2
    """How many GETs show CANCELING after a termination; None: all."""
    canceled: str = "FAILED"
    """The final state of a terminated run."""


class Execution(Protocol):
    """A run that is really executed; a `subprocess.Popen` will do."""

    def poll(self) -> int | None: ...

    def kill(self) -> None: ...


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
    """A pipeline version, which an answer has instead of the spec."""
    script: Script = field(default_factory=Script)
    process: Execution | None = None
    state: str | None = "PENDING"
    state_history: list[tuple[datetime, str]] = field(default_factory=list)
    finished_at: datetime = EPOCH
    storage_state: str = "AVAILABLE"
    gets: int = 0
    turn: int = 0
    """GETs since the run started or was retried."""
    running_gets: int = 0
    tasks_done: int = 0
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
    """An experiment as the server keeps it."""

    display_name: str
    created_at: datetime
    description: str = ""
    experiment_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    storage_state: str = "AVAILABLE"
    last_run_created_at: datetime = EPOCH


def timestamp(moment: datetime) -> str:
    """Return a moment as the server writes it: UTC, whole seconds."""
    return f"{moment.replace(microsecond=0, tzinfo=None).isoformat()}Z"


def message(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message as the server writes it: without its empty fields."""
    return {name: value for name, value in fields.items() if value not in (None, "", 0, [], {})}


def struct(value: Any) -> Any:
    """Return a value as google.protobuf.Struct writes it: numbers are doubles in their shortest form."""
    if isinstance(value, Mapping):
        return {str(name): struct(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [struct(item) for item in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
        return int(number) if number.is_integer() and abs(number) < 1e21 else number
    return value

"""The calls of the DSPA's API that jukebox makes, and the fields of the answers that it reads.

Unknown fields are ignored: another version of the server may send more.
"""

import contextlib
import datetime
import email.utils
import json
from typing import Annotated, Any, TypeVar

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

from ml.dspa.connection import Connection
from ml.dspa.failures import Rejected, Unavailable
from ml.dspa.names import key_in
from ml.dspa.timeouts import Deadline, Timeouts
from ml.dspa.transport import Json, Transport

API = "/apis/v2beta1"
PAGES = 50
"""Most pages of a list that are read; a look-up by name returns a handful of entries."""

IDENTIFIER = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
UNSPECIFIED = "RUNTIME_STATE_UNSPECIFIED"

T = TypeVar("T", bound="Answer")
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


class Client:
    """The API of one DSPA. Every call raises what `Transport.send` raises."""

    def __init__(self, connection: Connection, timeouts: Timeouts) -> None:
        """Prepare; nothing is sent yet."""
        self.connection = connection
        self._transport = Transport(connection, timeouts)
        self._full = True

    def health(self, within: float | None = None) -> tuple[Health, datetime.datetime | None]:
        """Return the server's version and time. The call needs a token, as all calls do."""
        value, headers = self._transport.send("GET", f"{API}/healthz", within=within)
        if not value.keys() & Health.model_fields.keys():
            raise Unavailable("the answer to healthz is not that of a DSPA; check --host")
        return _read(Health, value, "healthz"), _date(headers.get("Date", ""))

    def experiments(self, name: str, within: float | None = None) -> list[Experiment]:
        """List the experiments of this name; other spellings too if the server's database ignores case."""
        listed = self._list("experiments", Experiment, within, {"filter": _filter("EQUALS", name)})
        return [one for one in listed if one.display_name.casefold() == name.casefold()]

    def create_experiment(self, name: str, within: float | None = None) -> Experiment:
        """Create an experiment; if the name is taken, `Rejected` has the status 409."""
        value, _ = self._transport.send(
            "POST", f"{API}/experiments", body={"display_name": name}, within=within
        )
        return _read(Experiment, value, "an experiment")

    def runs(self, experiment_id: str, key: str, within: float | None = None) -> list[Run]:
        """List the runs of an attempt by the key in their names, oldest first."""
        query = {"experiment_id": experiment_id, "filter": _filter("IS_SUBSTRING", key)}
        listed = self._list("runs", Run, within, query)
        return sorted((run for run in listed if key_in(run.display_name) == key), key=lambda run: run.age)

    def newest_runs(self, experiment_id: str, within: float | None = None) -> list[Run]:
        """List the newest 50 runs of an experiment."""
        query = {"experiment_id": experiment_id, "sort_by": "created_at desc", "page_size": "50"}
        value, _ = self._transport.send("GET", f"{API}/runs", query=query, within=within)
        return [_read(Run, entry, "one of the runs") for entry in value.get("runs", [])]

    def run(self, run_id: str, within: float | None = None) -> Run:
        """Return a run; if there is none with this id, `Rejected` has the status 404."""
        query = {"view": "FULL"} if self._full else {}
        try:
            value, _ = self._transport.send("GET", f"{API}/runs/{run_id}", query=query, within=within)
        except Rejected as error:
            if not query or error.status != 400:
                raise
            # An older server, which does not know `view` and always lists the tasks.
            self._full = False
            return self.run(run_id, within)
        run = _read(Run, value, "a run")
        if run.run_id != run_id:
            raise Unavailable(f"asked for run {run_id}, the server returned run {run.run_id}")
        return run

    def create_run(self, body: Json, within: float | None = None) -> Run:
        """Create a run. **Not idempotent**: after `Unavailable` the run may exist."""
        value, _ = self._transport.send("POST", f"{API}/runs", body=body, within=within)
        run = _read(Run, value, "a run")
        if run.display_name != body["display_name"]:
            raise Unavailable(
                f"asked for a run {body['display_name']}, the server returned {run.display_name}"
            )
        return run

    def terminate(self, run_id: str, within: float | None = None) -> None:
        """Cancel a run; `Rejected` if it has ended."""
        self._transport.send("POST", f"{API}/runs/{run_id}:terminate", body={}, within=within)

    def archive(self, run_id: str, within: float | None = None) -> None:
        """Archive a run. Idempotent."""
        self._transport.send("POST", f"{API}/runs/{run_id}:archive", body={}, within=within)

    def retry(self, run_id: str, within: float) -> None:
        """Restart a failed run from its failed steps; `Rejected` if it is running."""
        self._transport.send("POST", f"{API}/runs/{run_id}:retry", body={}, within=within)

    def _list(self, kind: str, shape: type[T], within: float | None, query: dict[str, str]) -> list[T]:
        """Return the entries of all pages of a list."""
        result: list[T] = []
        query = {**query, "page_size": "50"}
        end = Deadline(within) if within is not None else None
        for _ in range(PAGES):
            left = end.remaining if end else None
            value, _headers = self._transport.send("GET", f"{API}/{kind}", query=query, within=left)
            entries, token = value.get(kind, []), value.get("next_page_token", "")
            if not isinstance(entries, list) or not isinstance(token, str):
                raise Unavailable(f"GET {API}/{kind}: the answer is not a list of {kind}")
            result += [_read(shape, entry, f"one of the {kind}") for entry in entries]
            if not token:
                return result
            query = {**query, "page_token": token}
        raise Unavailable(f"GET {API}/{kind}: the list does not end")


def _filter(operation: str, name: str) -> str:
    """Return a filter by name. The server unescapes it twice, so a name must not contain + or %."""
    predicate = {"operation": operation, "key": "display_name", "stringValue": name}
    return json.dumps({"predicates": [predicate]}, separators=(",", ":"))


def _read(shape: type[T], value: Any, what: str) -> T:
    """Parse an answer; an invalid one is `Unavailable`."""
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"])) or "all of it"
        raise Unavailable(f"the server's answer is not {what} (field: {where}); check --host") from None


def _date(value: str) -> datetime.datetime | None:
    """Parse a Date header; None if it is invalid."""
    try:
        date = email.utils.parsedate_to_datetime(value)
    except (ValueError, OverflowError, TypeError):
        return None
    # HTTP dates are in UTC.
    return date if date.tzinfo else date.replace(tzinfo=datetime.UTC)

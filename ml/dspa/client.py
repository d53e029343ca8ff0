"""The calls of the DSPA's API that jukebox makes."""

import datetime
import email.utils
import json
from typing import Any, TypeVar

from pydantic import (
    ValidationError,
)

from ml.dspa.answers import Answer, Experiment, Health, Run
from ml.dspa.connection import Connection
from ml.dspa.failures import Rejected, Unavailable
from ml.dspa.names import key_in
from ml.dspa.timeouts import Deadline, Timeouts
from ml.dspa.transport import Json, Transport

API = "/apis/v2beta1"
PAGES = 50
"""Most pages of a list that are read; a look-up by name returns a handful of entries."""


T = TypeVar("T", bound="Answer")


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

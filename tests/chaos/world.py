"""Runs one schedule: a server of its own, and submitters that are killed and started again."""

import tempfile
import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from dspa_server import Dspa, Fault, Request, RunRecord, serving
from dspa_server.records import TERMINAL
from pydantic import PrivateAttr

from chaos import submitter
from chaos.leavings import leave
from chaos.schedules import Schedule
from ml.core.errors import Interrupted, JukeboxError
from ml.dspa.connection import Connection
from ml.dspa.outcome import RunOutcome

TOKENS = ("sha256~the-first-secret", "sha256~the-second-secret")
TOO_LATE = 30.0


class FastDspa(Dspa):
    """A server whose clock is as much faster as the submitter's waits are shorter."""

    def now(self) -> Any:
        now = super().now()
        self.began = getattr(self, "began", now)
        return self.began + 200 * (now - self.began) - timedelta(days=1)


class Killed(BaseException):
    """Ends a submitter as SIGKILL does: without a message or a clean-up."""


class Doomed(Connection):
    """A connection whose submitter dies instead of sending a request beyond its number."""

    _left: float = PrivateAttr(default=float("inf"))
    _posted: Any = PrivateAttr(default=None)

    def token(self) -> str:
        if self._left <= 0 or (self._posted and self._posted()):
            raise Killed
        self._left -= 1
        return super().token()


def cancelled(run: RunRecord) -> bool:
    """Return whether a run was cancelled: it does not count, and the next may replace it."""
    states = {run.state, *(state for _, state in run.state_history)}
    return run.terminated or not states.isdisjoint(("CANCELING", "CANCELED"))


@dataclass
class Outcome:
    """The end of one life of the submitter: an outcome, an error, or SIGKILL."""

    seconds: float
    known: RunOutcome | None = None
    error: str = ""
    exit_code: int = 0
    message: str = ""
    said: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """One word for it."""
        return "pass" if self.known else self.error


@dataclass
class World:
    """What happens in a schedule, for `invariants`."""

    schedule: Schedule
    home: Path
    dspa: Dspa
    outcomes: list[Outcome] = field(default_factory=list)
    listed: set[str] = field(default_factory=set)
    """The runs in lists whose answers had no fault."""
    blind: list[str] = field(default_factory=list)
    """POSTs of a run although a list had one that may count."""
    answered: int = 0
    """POSTs of a run whose answers had no fault."""
    hit: set[str] = field(default_factory=set)
    posts: int = 0

    def __post_init__(self):
        self.token_file.write_text(TOKENS[0])
        self.dspa.tokens = {TOKENS[0]}
        self.dspa.fault, self.dspa.on_finish = self.fault, self.finish
        (self.home / "store").mkdir()

    @property
    def token_file(self) -> Path:
        return self.home / "token"

    def runs(self) -> list[RunRecord]:
        """List all runs of the key, oldest first."""
        return sorted(
            self.dspa.runs.values(), key=lambda run: (run.created_at.replace(microsecond=0), run.run_id)
        )

    def finish(self, run: RunRecord) -> None:
        if run.terminated:
            return
        delay = {"late": self.schedule.late, "too late": TOO_LATE}.get(self.schedule.leaves, 0)
        if not delay:
            leave(run, self.schedule.leaves)
            return

        def later() -> None:
            if not self.dspa.stopping.wait(delay):
                leave(run, self.schedule.leaves)

        threading.Thread(target=later, daemon=True).start()

    def fault(self, request: Request) -> Fault | None:
        """Return the fault of a request; called once for each, before it is handled."""
        with self.dspa.lock:
            self._turn_token(request.number)
            accepted = request.headers["Authorization"].split()[-1] in self.dspa.tokens
            fault = self._planned(request)
            if fault and fault.edit and not accepted:
                fault = None  # there is no JSON to edit
            clean = fault is None and accepted
            if request.kind == "create_run":
                known = [self.dspa.runs[run] for run in self.listed]
                there = [run.run_id for run in known if not (run.vanished or cancelled(run))]
                if there:
                    self.blind.append(f"request {request.number}, after {there} were listed")
                self.answered += clean
            if request.kind == "list_runs" and clean:
                self.listed |= {
                    run.run_id for run in self.dspa.runs.values() if not run.hidden_lists and not run.vanished
                }
            return fault

    def _planned(self, request: Request) -> Fault | None:
        if request.kind == "create_run":
            self.posts += 1
            if planned := self.schedule.posts.get(self.posts):
                self.hit.add(planned[0])
                return planned[1]
        name, fault = self.schedule.faults.get(request.number, ("", None))
        if name == "empty" and request.kind == "list_runs":
            return None  # {} is an empty list: a lie, not a fault
        if name:
            self.hit.add(name)
        return fault

    def _turn_token(self, number: int) -> None:
        expires, after = self.schedule.token_expires, self.schedule.token_rotated
        if expires and number == expires:
            self.dspa.tokens = {TOKENS[1]}
            self.hit.add("token expired")
        if expires and after and number == expires + after:
            fresh = self.home / "token.new"
            fresh.write_text(TOKENS[1])
            fresh.rename(self.token_file)

    def live(self, life: int) -> Outcome:
        """Run a submitter to its end."""
        begun = time.monotonic()
        outcome = self._submit(life, self.schedule.deaths.get(life))
        outcome.seconds = time.monotonic() - begun
        self.outcomes.append(outcome)
        return outcome

    def _submit(self, life: int, death: int | None) -> Outcome:
        connection = Doomed(host=self.dspa.url, namespace="ci", token_file=self.token_file)
        if death:
            connection._left = death
        elif death == 0:
            connection._posted = lambda: bool(self.posts)
        said: list[str] = []
        shown = []

        def show(state: str, _: Any) -> None:
            shown.append(state)
            if life == 0 and len(shown) == self.schedule.interrupted:
                raise Interrupted

        try:
            passed = submitter.submit(connection, self.home, self.schedule.deadline, said.append, show)
        except JukeboxError as error:
            return Outcome(0, None, type(error).__name__, error.exit_code, str(error), said)
        except Killed:
            return Outcome(0, None, "killed", said=said)
        except BaseException as error:
            return Outcome(0, None, "crash", message=f"{type(error).__name__}: {error}", said=said)
        return Outcome(0, passed, said=said)

    def ended(self, run: RunRecord) -> bool:
        """Return whether a run has ended or was terminated."""
        return run.terminated or run.state in TERMINAL or run.vanished


def live_through(schedule: Schedule) -> World:
    """Run a schedule: a pipeline that retries its step until it passes or the lives are over."""
    with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as home:
        dspa = FastDspa(profile=schedule.profile, script=schedule.script, list_lag=schedule.list_lag)
        with serving(dspa):
            world = World(schedule, Path(home), dspa)
            if schedule.twins:
                other = threading.Thread(target=world.live, args=(1,))
                other.start()
                world.live(0)
                other.join()
                return world
            for life in range(schedule.lives):
                if world.live(life).known:
                    break
            return world

"""The server's state and its settings; how a run comes to be, moves on, and ends."""

import contextlib
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from dspa_server.faults import Fault
from dspa_server.profiles import PROFILES, Profile
from dspa_server.records import EPOCH, TERMINAL, Execution, Experiment, Pipeline, Request, RunRecord, Script
from dspa_server.specs import task_names


@dataclass
class Dspa:
    """A Data Science Pipelines server. Everything may be changed while it serves."""

    profile: str = "2.16"
    tokens: set[str] | None = None
    """The bearer tokens that it knows; None asks for none."""
    forbidden: Callable[[Request], bool] | None = None
    """Which requests its RBAC refuses."""
    script: Callable[[RunRecord], Script] | Script = field(default_factory=Script)
    """How a new run will go."""
    on_finish: Callable[[RunRecord], None] | None = None
    """Called once, just before a run's terminal state can be seen."""
    fault: Callable[[Request], Fault | None] | None = None
    list_lag: int = 0
    """How many lists of runs a new run is missing from."""
    clock_skew: float = 0
    """Seconds by which the server's clock is ahead."""
    health: dict[str, Any] = field(default_factory=dict)
    """What healthz says instead; None leaves a field out."""
    executor: Callable[[RunRecord], Execution] | None = None
    """Executes a new run, instead of the script."""
    requests: list[Request] = field(default_factory=list)
    runs: dict[str, RunRecord] = field(default_factory=dict)
    shadows: list[RunRecord] = field(default_factory=list)
    """Runs that live in the cluster but not in the API's database: doubles by their id."""
    experiments: dict[str, Experiment] = field(default_factory=dict)
    pipelines: dict[str, Pipeline] = field(default_factory=dict)
    versions: dict[str, Pipeline] = field(default_factory=dict)
    errors: list[BaseException] = field(default_factory=list)
    """What went wrong in the double itself, or in a test's callback."""
    url: str = ""
    ca_file: Path | None = None
    lock: Any = field(default_factory=threading.RLock, repr=False)
    stopping: threading.Event = field(default_factory=threading.Event, repr=False)

    def __post_init__(self):
        self.add_experiment(
            "Default", "All runs created without specifying an experiment will be grouped here."
        )

    @property
    def version(self) -> Profile:
        """The server's profile."""
        return PROFILES[self.profile]

    def now(self) -> datetime:
        """Tell the server's time."""
        return datetime.now(UTC) + timedelta(seconds=self.clock_skew)

    def runs_named(self, name: str) -> list[RunRecord]:
        """List the runs of a name, those that only the cluster knows included."""
        with self.lock:
            return [run for run in [*self.runs.values(), *self.shadows] if run.display_name == name]

    def live_runs(self) -> list[RunRecord]:
        """List the runs that have not ended, likewise."""
        with self.lock:
            return [run for run in [*self.runs.values(), *self.shadows] if run.state not in TERMINAL]

    def add_experiment(self, name: str, description: str = "") -> Experiment:
        """Create an experiment."""
        found = Experiment(name, self.now(), description)
        self.experiments[found.experiment_id] = found
        return found

    def default_experiment(self) -> Experiment:
        """Find the experiment of runs that name none."""
        return next(found for found in self.experiments.values() if found.display_name == "Default")

    def start(self, run: RunRecord) -> bool:
        """Begin a run; False when its id was taken, and it lives all the same."""
        run.script = self.script if isinstance(self.script, Script) else self.script(run)
        run.hidden_lists = self.list_lag
        run.state_history.append((self.now(), "PENDING"))
        if self.executor:
            run.process = self.executor(run)
        if run.run_id in self.runs:
            self.shadows.append(run)
            return False
        self.runs[run.run_id] = run
        self.experiments[run.experiment_id].last_run_created_at = run.created_at
        return True

    def advance(self, run: RunRecord) -> None:
        """Move a run on, because a GET of it is being answered."""
        run.gets += 1
        run.turn += 1
        self._show(run, self._next_state(run))
        if run.state == "RUNNING" and run.process is None:
            names = self.task_names(run)
            share = len(names) * run.running_gets // max(1, run.script.running)
            run.tasks_done = max(0, min(share, self.failing_task(run), len(names) - 1))
            run.running_gets += 1

    def look(self, run: RunRecord) -> None:
        """Bring a run up to date for a list: an executed one moves without being asked."""
        if run.process is not None and not run.terminated and run.process.poll() is not None:
            self._show(run, self._next_state(run))

    def terminate(self, run: RunRecord) -> None:
        """End a run that is under way."""
        run.terminated, run.terminated_turn, run.state = True, run.turn, "CANCELING"
        if run.process is not None:
            run.process.kill()

    def retry(self, run: RunRecord) -> None:
        """Begin a failed run again."""
        run.terminated, run.ended_turn, run.turn = False, None, run.script.pending
        run.running_gets = run.tasks_done = 0
        run.finished_at = EPOCH
        self._show(run, "RUNNING")
        if self.executor:
            run.process = self.executor(run)

    def _next_state(self, run: RunRecord) -> str | None:
        script = run.script
        if run.terminated:
            left = script.canceling is None or run.turn - run.terminated_turn <= script.canceling
            return "CANCELING" if left else script.canceled
        if run.process is not None:
            code = run.process.poll()
            return "RUNNING" if code is None else "FAILED" if code else "SUCCEEDED"
        if script.states:
            return script.states[min(run.turn, len(script.states)) - 1]
        if run.turn <= script.pending:
            return "PENDING"
        return "RUNNING" if script.never_ends or run.turn <= script.pending + script.running else script.final

    def _show(self, run: RunRecord, state: str | None) -> None:
        if state in TERMINAL and run.ended_turn is None:
            run.ended_turn = run.turn
            if self.on_finish:
                self.on_finish(run)
            run.finished_at = self.now()
        if state and run.state_history[-1][1] != state:
            run.state_history.append((self.now(), state))
        run.state = state

    def task_names(self, run: RunRecord) -> list[str]:
        """List a run's tasks."""
        return list(run.script.tasks) or task_names(run.pipeline_spec)

    def failing_task(self, run: RunRecord) -> int:
        """Find the task at which a run stops: the one that fails, or the last."""
        names = self.task_names(run)
        return names.index(run.script.failed_task) if run.script.failed_task in names else len(names) - 1

    def stop(self) -> None:
        """End everything that runs for the server."""
        self.stopping.set()
        for run in [*self.runs.values(), *self.shadows]:
            if run.process is not None and run.process.poll() is None:
                with contextlib.suppress(OSError):
                    run.process.kill()

    def wait(self, condition: Callable[["Dspa"], object], seconds: float = 20) -> None:
        """Wait until something holds here, e.g. what a late commit brings about."""
        end = time.monotonic() + seconds
        while True:
            with self.lock:
                if condition(self):
                    return
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.01)


def new_id() -> str:
    """Make up an id."""
    return str(uuid.uuid4())

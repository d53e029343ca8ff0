"""The server's settings and state, and how a run starts, proceeds and ends."""

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from dspa_server.faults import Fault
from dspa_server.records import (
    EPOCH,
    PROFILES,
    TERMINAL,
    Execution,
    Experiment,
    Profile,
    Request,
    RunRecord,
    Script,
)
from dspa_server.specs import task_names


@dataclass
class Dspa:
    """A Data Science Pipelines server. Everything may be changed while it serves."""

    profile: str = "2.16"
    tokens: set[str] | None = None
    """The valid bearer tokens; None needs none."""
    forbidden: Callable[[Request], bool] | None = None
    """Which requests its RBAC refuses."""
    script: Callable[[RunRecord], Script] | Script = field(default_factory=Script)
    """How a new run proceeds."""
    on_finish: Callable[[RunRecord], None] | None = None
    """Called once, before a run shows a terminal state."""
    fault: Callable[[Request], Fault | None] | None = None
    list_lag: int = 0
    """How many lists lack a new run."""
    clock_skew: float = 0
    """Seconds by which the server's clock is ahead."""
    health: dict[str, Any] = field(default_factory=dict)
    """Other fields of healthz; None omits one."""
    executor: Callable[[RunRecord], Execution] | None = None
    """Executes a new run, instead of its script."""
    requests: list[Request] = field(default_factory=list)
    runs: dict[str, RunRecord] = field(default_factory=dict)
    experiments: dict[str, Experiment] = field(default_factory=dict)
    errors: list[BaseException] = field(default_factory=list)
    """Errors of the double itself or of a test's callback."""
    url: str = ""
    lock: Any = field(default_factory=threading.RLock, repr=False)
    stopping: threading.Event = field(default_factory=threading.Event, repr=False)

    def __post_init__(self):
        about = "All runs created without specifying an experiment will be grouped here."
        self.add_experiment("Default", about)

    @property
    def version(self) -> Profile:
        """The server's profile."""
        return PROFILES[self.profile]

    def now(self) -> datetime:
        """Return the server's time."""
        return datetime.now(UTC) + timedelta(seconds=self.clock_skew)

    def live_runs(self) -> list[RunRecord]:
        """List the runs that have not ended."""
        with self.lock:
            return [run for run in self.runs.values() if run.state not in TERMINAL]

    def add_experiment(self, name: str, description: str = "") -> Experiment:
        """Create an experiment."""
        experiment = Experiment(name, self.now(), description)
        self.experiments[experiment.experiment_id] = experiment
        return experiment

    def start(self, run: RunRecord) -> None:
        """Start a run."""
        run.script = self.script if isinstance(self.script, Script) else self.script(run)
        run.hidden_lists = self.list_lag
        run.state_history.append((self.now(), "PENDING"))
        if self.executor:
            run.process = self.executor(run)
        self.runs[run.run_id] = run
        self.experiments[run.experiment_id].last_run_created_at = run.created_at

    def advance(self, run: RunRecord) -> None:
        """Proceed with a run, because a GET of it is being answered."""
        run.gets += 1
        run.turn += 1
        self._show(run, self._next_state(run))
        if run.state == "RUNNING" and run.process is None:
            names = self.task_names(run)
            share = len(names) * run.running_gets // max(1, run.script.running)
            run.tasks_done = max(0, min(share, self.failing_task(run), len(names) - 1))
            run.running_gets += 1

    def look(self, run: RunRecord) -> None:
        """Update an executed run for a list."""
        if run.process is not None and not run.terminated and run.process.poll() is not None:
            self._show(run, self._next_state(run))

    def terminate(self, run: RunRecord) -> None:
        """Terminate a run."""
        run.terminated, run.terminated_turn, run.state = True, run.turn, "CANCELING"
        if run.process is not None:
            run.process.kill()

    def retry(self, run: RunRecord) -> None:
        """Restart a failed run."""
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
        return task_names(run.pipeline_spec)

    def failing_task(self, run: RunRecord) -> int:
        """Return the index of the task at which a run stops: the failed one, or the last."""
        names = self.task_names(run)
        return names.index(run.script.failed_task) if run.script.failed_task in names else len(names) - 1

    def stop(self) -> None:
        """Kill all executed runs."""
        self.stopping.set()
        for run in self.runs.values():
            if run.process is not None and run.process.poll() is None:
                with contextlib.suppress(OSError):
                    run.process.kill()

    def wait(self, condition: Callable[["Dspa"], object], seconds: float = 20) -> None:
        """Wait until a condition holds."""
        end = time.monotonic() + seconds
        while True:
            with self.lock:
                if condition(self):
                    return
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.01)

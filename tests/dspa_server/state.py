"""The server's settings and state, and how a run starts, proceeds and ends."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from dspa_server.faults import Fault
from dspa_server.records import PROFILES, TERMINAL, Experiment, Profile, Request, RunRecord, Script


@dataclass
class Dspa:
    """A Data Science Pipelines server. Everything may be changed while it serves."""

    profile: str = "2.16"
    tokens: set[str] | None = None  # the valid bearer tokens; None needs none
    forbidden: Callable[[Request], bool] | None = None  # which requests its RBAC refuses
    script: Callable[[RunRecord], Script] | Script = field(default_factory=Script)  # how a new run proceeds
    on_finish: Callable[[RunRecord], None] | None = None  # called once, before a run shows a terminal state
    fault: Callable[[Request], Fault | None] | None = None
    list_lag: int = 0  # how many lists lack a new run
    clock_skew: float = 0  # seconds by which the server's clock is ahead
    executor: Callable[[RunRecord], Any] | None = None  # executes a new run, instead of its script
    requests: list[Request] = field(default_factory=list)
    runs: dict[str, RunRecord] = field(default_factory=dict)
    experiments: dict[str, Experiment] = field(default_factory=dict)
    errors: list[BaseException] = field(default_factory=list)  # of the double itself or of a test's callback
    url: str = ""
    lock: Any = field(default_factory=threading.RLock)
    stopping: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self):
        self.add_experiment("Default")

    @property
    def version(self) -> Profile:
        return PROFILES[self.profile]

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.clock_skew)

    def live_runs(self) -> list[RunRecord]:
        """List the runs that have not ended."""
        return [run for run in self.runs.values() if run.state not in TERMINAL]

    def add_experiment(self, name: str, description: str = "") -> Experiment:
        experiment = Experiment(name, self.now(), description)
        self.experiments[experiment.experiment_id] = experiment
        return experiment

    def advance(self, run: RunRecord) -> None:
        """Proceed with a run, because a GET of it is being answered."""
        run.gets += 1
        run.turn += 1
        self.show(run, self._next_state(run))

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

    def show(self, run: RunRecord, state: str | None) -> None:
        if state in TERMINAL and run.ended_turn is None:
            run.ended_turn = run.turn
            if self.on_finish:
                self.on_finish(run)
            run.finished_at = self.now()
        if state and run.state_history[-1][1] != state:
            run.state_history.append((self.now(), state))
        run.state = state

    def stop(self) -> None:
        """Kill all executed runs."""
        self.stopping.set()
        for run in self.runs.values():
            if run.process is not None:
                run.process.kill()

    def wait(self, condition: Callable[["Dspa"], object]) -> None:
        """Wait until a condition holds."""
        from processes import wait_for

        wait_for(lambda: self._locked(condition), 20)

    def _locked(self, condition) -> object:
        with self.lock:
            return condition(self)


def task_names(run: RunRecord) -> list[str]:
    """List the root DAG's tasks, each after those that it depends on, otherwise by name."""
    tasks = run.pipeline_spec["root"].get("dag", {}).get("tasks", {})
    names: list[str] = []
    while ready := sorted(
        name for name in tasks if name not in names and {*tasks[name].get("dependentTasks", ())} <= {*names}
    ):
        names += ready
    return names


def task_states(run: RunRecord) -> dict[str, str]:
    """Return the states of the tasks that have started; they lag behind the end of the run."""
    names = task_names(run)
    settled = run.ended_turn is not None and run.turn > run.ended_turn
    if settled and run.state == "SUCCEEDED":
        return dict.fromkeys(names, "SUCCEEDED")
    if run.process is not None:
        told = run.process.task_states()
        return {name: told[name] for name in names if name in told}
    begun = (run.terminated_turn if run.terminated else run.turn) - run.script.pending
    if not names or begun <= 0:
        return {}
    last = names.index(run.script.failed_task) if run.script.failed_task in names else len(names) - 1
    done = min(last, len(names) * (begun - 1) // max(1, run.script.running))
    if settled and not run.terminated:
        done = last
    return dict.fromkeys(names[:done], "SUCCEEDED") | {names[done]: "FAILED" if settled else "RUNNING"}

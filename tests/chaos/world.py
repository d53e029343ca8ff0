"""Runs one schedule: a server of its own, and submitters that are killed and started again."""

import itertools
import json
import tempfile
import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from candidates import store_run
from dspa_server import Dspa, Fault, Request, RunRecord, serving
from dspa_server.records import TERMINAL
from policies import default_policy
from pydantic import PrivateAttr
from submissions import files_of

from chaos.schedules import Schedule
from ml.core.canonical import canonical_bytes, digest
from ml.core.errors import Interrupted, JukeboxError
from ml.dspa import run as dspa_run
from ml.dspa.client import Client
from ml.dspa.compiled import Pipeline
from ml.dspa.connection import Connection
from ml.dspa.outcome import RunOutcome
from ml.dspa.submission import Submission
from ml.dspa.timeouts import Timeouts
from ml.gate.evidence import Subject
from ml.release.store import ModelStore

TOKENS = ("sha256~the-first-secret", "sha256~the-second-secret")
IMAGE = "localhost/jukebox@" + digest(b"image")
NONCE = "0123456789abcdef0123456789abcdef"
WAITS = {
    **{"connect": 0.5, "read": 0.4, "request": 0.6, "start": 1, "outage": 1, "refused": 0.4, "settle": 0.3},
    **{"unknown": 0.1, "vanished": 0.05, "canceling": 0.1, "evidence": 0.4, "storage": 3, "stop": 0.6},
    **{"poll": 0.01, "poll_most": 0.03},
}
"""All waits, about two hundred times shorter than usual."""

TRUE = ("pass", "late", "too late")
"""What `leave` leaves of a run that deserves to pass."""


def submission(home: Path) -> Submission:
    """Return a submission of a pipeline of one task."""
    fixed = {
        "model_name": "jukebox",
        "model_version": "1",
        "commit": "0" * 40,
        "image": IMAGE,
        "nonce": NONCE,
    }
    fixed |= {
        "data_version": "59ddef4777eb0125",
        "champion": "",
        "dirty": False,
        "store_uri": f"{home}/store",
    }
    parameters = {**fixed, "evidence_uri": f"{home}/evidence/{NONCE}/{{run_id}}.json"}
    kinds = {name: {"parameterType": "BOOLEAN" if name == "dirty" else "STRING"} for name in parameters}
    task = {"taskInfo": {"name": "gate"}, "componentRef": {"name": "comp-gate"}}
    spec = {
        "pipelineInfo": {"name": "tiny"},
        "schemaVersion": "2.1.0",
        "root": {"dag": {"tasks": {"gate": task}}, "inputDefinitions": {"parameters": kinds}},
        "components": {"comp-gate": {"executorLabel": "exec-gate"}},
        "deploymentSpec": {"executors": {"exec-gate": {"container": {"image": IMAGE}}}},
    }
    pipeline = Pipeline(spec=spec, platform={}, digest=digest(b"pipeline"), image=IMAGE)
    about = {"experiment": "jukebox", "attempt": "attempt", "policy_text": default_policy().text}
    return Submission(pipeline=pipeline, parameters=parameters, **about)


def leave(run: RunRecord, leaves: str) -> None:
    """Leave evidence and candidate, in one of the ways of `schedules.LEAVINGS`."""
    own = {name: run.parameters[name] for name in Subject.model_fields if name != "run_id"}
    about = Subject(**own, run_id="another-run" if leaves == "other run" else run.run_id)
    files = files_of(about, "evaluation.gain_over_prior.low" if leaves in ("block", "lying") else "")
    data = files["evidence.json"]
    if leaves == "lying":
        verdict = json.loads(files_of(about)["evidence.json"])["verdict"]
        files["evidence.json"] = data = canonical_bytes({**json.loads(data), "verdict": verdict})
    if leaves not in ("block", "candidate missing", "missing"):
        store = Path(run.parameters["store_uri"])
        candidate = store_run(ModelStore(str(store), create=True), files)
        if leaves == "candidate tampered":
            (store / "candidates" / candidate / "model.onnx").write_bytes(b"another graph")
    if leaves == "truncated":
        data = data[: len(data) // 2]
    if leaves != "missing":
        path = Path(run.parameters["evidence_uri"].replace("{run_id}", run.run_id))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".new").write_bytes(data)
        path.with_suffix(".new").rename(path)


class FastDspa(Dspa):
    """A server whose clock is as much faster as the submitter's waits are shorter."""

    def now(self):
        now = super().now()
        self.began = getattr(self, "began", now)
        return self.began + 200 * (now - self.began) - timedelta(days=1)


class Killed(BaseException):
    """Ends a submitter as SIGKILL does: without a message or a clean-up."""


class Doomed(Connection):
    """A connection whose submitter dies instead of sending another request."""

    _dies: Any = PrivateAttr(default=None)

    def token(self) -> str:
        if self._dies and self._dies():
            raise Killed
        return super().token()


def cancelled(run: RunRecord) -> bool:
    """Return whether a run was cancelled: it does not count, and the next may replace it."""
    states = {run.state, *(state for _, state in run.state_history)}
    return run.terminated or not states.isdisjoint(("CANCELING", "CANCELED"))


def over(run: RunRecord) -> bool:
    return run.terminated or run.state in TERMINAL or run.vanished


@dataclass
class Outcome:
    """The end of one life of the submitter: "pass", an error's name, "killed", or "crash"."""

    name: str
    message: str = ""
    exit_code: int = 0
    known: RunOutcome | None = None
    said: list[str] = field(default_factory=list)
    seconds: float = 0


@dataclass
class World:
    """What happens in a schedule, for `invariants`."""

    schedule: Schedule
    home: Path
    dspa: Dspa
    outcomes: list[Outcome] = field(default_factory=list)
    hit: list[str] = field(default_factory=list)  # the faults that happened
    listed: set[str] = field(default_factory=set)  # the runs in lists whose answers had no fault
    blind: list[str] = field(default_factory=list)  # POSTs of a run although a list had one that may count
    posts: int = 0  # of runs
    answered: int = 0  # those of them whose answers had no fault

    def __post_init__(self):
        (self.home / "token").write_text(TOKENS[0])
        (self.home / "store").mkdir()
        self.dspa.tokens, self.dspa.fault, self.dspa.on_finish = {TOKENS[0]}, self.fault, self.finish

    def runs(self) -> list[RunRecord]:
        """List all runs of the key, oldest first."""
        runs = sorted(self.dspa.runs.values(), key=lambda run: run.run_id)
        return sorted(runs, key=lambda run: run.created_at.replace(microsecond=0))

    def finish(self, run: RunRecord) -> None:
        leaves = self.schedule.leaves
        delay = {"late": self.schedule.late, "too late": 30.0}.get(leaves, 0)

        def later() -> None:
            if not self.dspa.stopping.wait(delay):
                leave(run, leaves)

        if delay and not run.terminated:
            threading.Thread(target=later, daemon=True).start()
        elif not run.terminated:
            leave(run, leaves)

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
                if there := [run.run_id for run in known if not (run.vanished or cancelled(run))]:
                    self.blind.append(f"request {request.number}, after {there} were listed")
                self.answered += clean
            if request.kind == "list_runs" and clean:
                shown = [run for run in self.dspa.runs.values() if not (run.hidden_lists or run.vanished)]
                self.listed |= {run.run_id for run in shown}
            return fault

    def _planned(self, request: Request) -> Fault | None:
        name, fault = self.schedule.faults.get(request.number, ("", None))
        if request.kind == "create_run":
            self.posts += 1
            name, fault = self.schedule.posts.get(self.posts, (name, fault))
        if not name or (name == "empty" and request.kind == "list_runs"):
            return None  # {} is an empty list: a lie, not a fault
        self.hit.append(f"{name} at {request.number}")
        return fault

    def _turn_token(self, number: int) -> None:
        expires, after = self.schedule.token_expires, self.schedule.token_rotated
        if expires and number == expires:
            self.dspa.tokens = {TOKENS[1]}
        if expires and after and number == expires + after:
            (self.home / "token.new").write_text(TOKENS[1])
            (self.home / "token.new").rename(self.home / "token")

    def live(self, life: int) -> Outcome:
        """Run a submitter to its end."""
        connection = Doomed(host=self.dspa.url, namespace="ci", token_file=self.home / "token")
        death, sent = self.schedule.deaths.get(life), itertools.count()
        if death is not None:
            connection._dies = lambda: next(sent) >= death if death else self.posts > 0
        begun, said, shown = time.monotonic(), [], []

        def show(state: str, _: Any) -> None:
            shown.append(state)
            if life == 0 and len(shown) == self.schedule.interrupted:
                raise Interrupted

        timeouts = Timeouts(deadline=self.schedule.deadline, **WAITS)
        client, what = Client(connection, timeouts), submission(self.home)
        try:
            # An attribute of its module, which the tests replace.
            known = dspa_run.submit(client, what, timeouts=timeouts, say=said.append, show=show)
            outcome = Outcome("pass", known=known)
        except JukeboxError as error:
            outcome = Outcome(type(error).__name__, str(error), error.exit_code)
        except Killed:
            outcome = Outcome("killed")
        except BaseException as error:
            outcome = Outcome("crash", repr(error))
        outcome.seconds, outcome.said = time.monotonic() - begun, said
        self.outcomes.append(outcome)
        return outcome


def live_through(schedule: Schedule) -> World:
    """Run a schedule: a pipeline that retries its step until it passes or the lives are over."""
    with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as home:
        dspa = FastDspa(profile=schedule.profile, script=schedule.script, list_lag=schedule.list_lag)
        with serving(dspa):
            world = World(schedule, Path(home), dspa)
            other = threading.Thread(target=world.live, args=(1,))
            if schedule.twins:
                other.start()
            for life in range(1 if schedule.twins else schedule.lives):
                if world.live(life).known:
                    break
            if schedule.twins:
                other.join()
            return world

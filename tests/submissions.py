"""A world to submit in: the compiled pipeline, folders for store and evidence, a double of the DSPA."""

import contextlib
import functools
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from candidates import candidate_files, store_run
from dspa_server import Dspa, Request, RunRecord, serving
from reports import POLICY, subject

from ml.core.canonical import canonical_bytes, digest
from ml.core.errors import EvidenceError, JukeboxError
from ml.core.settings import Mounts
from ml.dspa import run as dspa_run
from ml.dspa import session
from ml.dspa import timeouts as dspa_timeouts
from ml.dspa.answers import Run
from ml.dspa.client import Client
from ml.dspa.compiled import Pipeline, read_pipeline
from ml.dspa.connection import Connection
from ml.dspa.outcome import RunOutcome
from ml.dspa.submission import Submission
from ml.dspa.timeouts import Timeouts
from ml.gate.evidence import Subject
from ml.gate.policy import parse_policy
from ml.pipeline.compiler import compile_pipeline
from ml.release.store import ModelStore

IMAGE = "localhost/jukebox@" + digest(b"image")
OTHER_IMAGE = "localhost/jukebox@" + digest(b"another image")
TIMEOUTS = {
    **{"deadline": 20, "connect": 5, "read": 5, "request": 5, "start": 1, "outage": 1, "refused": 0.3},
    **{"settle": 0.2, "unknown": 0.2, "vanished": 0.1, "canceling": 0.2, "evidence": 0.3, "storage": 5},
    **{"stop": 2, "again": 0.01, "poll": 0.01, "poll_most": 0.02},
}
"""All waits, about a hundred times shorter than usual."""


@functools.cache
def compiled(image: str | None = IMAGE, **mounts: str) -> bytes:
    with tempfile.NamedTemporaryFile() as file:
        compile_pipeline(Path(file.name), image, Mounts(**mounts))
        return Path(file.name).read_bytes()


@functools.cache
def pipeline(image: str = IMAGE, **mounts: str) -> Pipeline:
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(compiled(image, **mounts))
        return read_pipeline(Path(file.name))


def files_of(about: Subject, broken: str = "", policy: str = POLICY) -> dict[str, bytes]:
    """Return the files that gate and save write about a subject; ``broken`` is the check that fails."""
    edits = {"data_report.data_version": about.data_version}
    return candidate_files(broken=broken, policy=policy, edits=edits, **about.to_json())


@dataclass
class World:
    """A served DSPA, folders for store and evidence, and what a command printed and displayed."""

    home: Path
    dspa: Dspa
    token_file: Path | None = None
    pipeline_root: str = ""
    passed: float = 0
    """Seconds by which the clock of deadlines is ahead: no test waits for one."""
    said: list[str] = field(default_factory=list)
    shown: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def __post_init__(self):
        self.dspa.on_finish = self.leave
        self.expires = ""
        self.store = self.home / "store"
        self.store.mkdir(exist_ok=True)

    def show(self, state: str, tasks: Mapping[str, str]) -> None:
        self.shown.append((state, dict(tasks)))
        if state == self.expires:
            self.expire()

    def expire(self) -> None:
        """Reach every deadline."""
        self.passed += 1000

    def submission(
        self, attempt: str = "attempt-1", image: str = IMAGE, policy: str = POLICY, **changes: Any
    ) -> Submission:
        """Return a submission; ``changes`` are other parameters or hyperparameters."""
        of = pipeline(image)
        tables = {"problem": "songs", "table_uris": {"rankings": "sample:", "songs": "sample:"}}
        chosen = {name: changes.pop(name) for name in [*changes] if name in of.hyperparameters}
        places = {"store_uri": str(self.store), **tables, "hyperparameters": {**of.hyperparameters, **chosen}}
        given = {**subject(image=image).to_json(), **places, "policy": parse_policy(policy).digest, **changes}
        del given["run_id"], given["nonce"]
        nonce = digest(canonical_bytes([attempt, of.digest, given])).removeprefix("sha256:")[:32]
        where = f"{self.home}/evidence/{nonce}/{{run_id}}.json"
        given = {"nonce": nonce, "evidence_uri": where, **given, **changes}
        about = {"experiment": "jukebox", "attempt": attempt, "policy_text": policy}
        return Submission(pipeline=of, parameters=given, **about)

    def client(self, timeouts: Timeouts | None = None) -> Client:
        where = {"host": self.dspa.url, "namespace": "ci", "pipeline_root": self.pipeline_root}
        connection = Connection(**where, token_file=self.token_file)
        return Client(connection, timeouts or Timeouts(**TIMEOUTS))

    def submit(
        self,
        submission: Submission | None = None,
        *,
        leave_running=False,
        task_run=None,
        expires="",
        **timeouts,
    ) -> RunOutcome:
        """Submit and follow, as the command does; the deadline is reached in the state ``expires``."""
        self.expires = expires
        waits = Timeouts(**{**TIMEOUTS, **timeouts})
        told = {"timeouts": waits, "say": self.said.append, "show": self.show, "task_run": task_run}
        about = submission or self.submission()
        return dspa_run.submit(self.client(waits), about, leave_running=leave_running, **told)

    def follow(self, run_id: str, **timeouts: float) -> RunOutcome:
        waits = Timeouts(**{**TIMEOUTS, **timeouts})
        told = {"timeouts": waits, "say": self.said.append, "show": self.show}
        return dspa_run.follow_run(self.client(waits), run_id, POLICY, **told)

    def ends_in(self, error: type[JukeboxError], message: str, **options: Any) -> JukeboxError:
        """Submit, and check that it ends in just this error, in one line, about its one run."""
        with pytest.raises(error, match=message) as caught:
            self.submit(**options)
        assert type(caught.value) is error
        assert caught.value.details["run_id"] == self.runs()[-1].run_id
        assert not caught.value.details.get("candidate")
        assert "\n" not in str(caught.value)
        return caught.value

    def refuses(self, submission: Submission, message: str) -> None:
        """Check that a submission is refused, starts no run, and terminates none."""
        before = self.count("create_run")
        with pytest.raises(EvidenceError, match=message):
            self.submit(submission)
        assert (self.count("create_run"), self.count("terminate")) == (before, 0)

    def begin(self, submission: Submission | None = None, *, ahead: float = 0) -> Run:
        """Start a run without `jukebox submit`, on a server whose clock is so many seconds ahead."""
        known = [one for one in self.dspa.experiments.values() if one.display_name == "jukebox"]
        experiment = known[0] if known else self.dspa.add_experiment("jukebox")
        body = (submission or self.submission()).body(experiment.experiment_id)
        self.dspa.clock_skew = ahead
        run = self.client().create_run(body)
        self.dspa.clock_skew = 0
        return run

    def evidence_of(self, run: RunRecord) -> Path:
        return Path(run.parameters["evidence_uri"].replace("{run_id}", run.run_id))

    def files(self, run: RunRecord, broken: str = "", **about: Any) -> dict[str, bytes]:
        """Return the files of a run's candidate; ``about`` are other fields of the evidence's subject."""
        own = {name: run.parameters[name] for name in Subject.model_fields if name in run.parameters}
        return files_of(Subject(**{**own, "run_id": run.run_id, **about}), broken)

    def write_evidence(self, run: RunRecord, data: bytes) -> None:
        """Write the evidence, as the step gate does."""
        path = self.evidence_of(run)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".new").write_bytes(data)
        path.with_suffix(".new").replace(path)

    def leave(self, run: RunRecord, broken: str = "", **changes: Any) -> None:
        """Write what gate and save write; a terminated run leaves nothing."""
        if run.terminated:
            return
        files = self.files(run, broken, **changes)
        if not broken:
            store_run(ModelStore(run.parameters["store_uri"], create=True), files)
        self.write_evidence(run, files["evidence.json"])

    def kinds(self) -> list[str]:
        return [request.kind for request in self.dspa.requests]

    def count(self, kind: str) -> int:
        return self.kinds().count(kind)

    def runs(self) -> list[RunRecord]:
        return list(self.dspa.runs.values())


@contextlib.contextmanager
def world(home: Path) -> Iterator[World]:
    """Serve a DSPA with a world around it; retries are made after a hundredth of a second."""
    with pytest.MonkeyPatch.context() as patch, serving(Dspa()) as served:
        patch.setattr(session, "FIRST", 0.01)
        here = World(home, served)
        clock = SimpleNamespace(monotonic=lambda: time.monotonic() + here.passed, sleep=time.sleep)
        patch.setattr(dspa_timeouts, "time", clock)
        yield here


def nth(kind: str, faults: dict[int, Any]) -> Callable[[Request], Any]:
    """Return a `fault` for the first, second, … request of a kind; a function is only called."""
    seen: list[Request] = []

    def fault(request: Request) -> Any:
        if request.kind != kind:
            return None
        seen.append(request)
        act = faults.get(len(seen))
        if not callable(act):
            return act
        act()
        return None

    return fault

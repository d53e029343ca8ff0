"""A world to submit in: the compiled pipeline, a store and evidence in folders, a served double.

`World.leave` writes what the steps gate and save write when a run ends.
"""

import contextlib
import functools
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from candidates import store_run
from dspa_server import Dspa, Request, RunRecord, serving
from mutations import MUTATIONS
from reports import DAY, DIGESTS, POLICY, PROFILE, SERVED, edited, passing_reports, subject

from ml.core.canonical import canonical_bytes, digest
from ml.core.errors import EvidenceError, JukeboxError
from ml.core.settings import Mounts
from ml.dspa import run as dspa_run
from ml.dspa import session
from ml.dspa.answers import Run
from ml.dspa.client import Client
from ml.dspa.compiled import Pipeline, read_pipeline
from ml.dspa.connection import Connection
from ml.dspa.follow import Show
from ml.dspa.outcome import RunOutcome
from ml.dspa.submission import Submission
from ml.dspa.tekton import TaskRun
from ml.dspa.timeouts import Timeouts
from ml.gate.candidate import manifest_of
from ml.gate.evidence import Subject, make_evidence
from ml.gate.policy import parse_policy
from ml.pipeline.compiler import compile_pipeline
from ml.release.store import ModelStore

IMAGE = "localhost/jukebox@" + digest(b"image")
OTHER_IMAGE = "localhost/jukebox@" + digest(b"another image")
ENDS = 20.0
"""Seconds: the deadline if none is tested."""

TIMEOUTS = {
    **{"deadline": ENDS, "connect": 5, "read": 5, "request": 5, "start": 1, "outage": 1, "refused": 0.3},
    **{"settle": 0.2, "unknown": 0.2, "vanished": 0.1, "canceling": 0.2, "evidence": 0.3, "storage": 5},
    **{"stop": 2, "again": 0.01, "poll": 0.01, "poll_most": 0.02},
}
"""All waits, about a hundred times shorter than usual."""


@functools.cache
def compiled(image: str = IMAGE, claim: str = "") -> bytes:
    """Compile the pipeline."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        compile_pipeline(path, image, Mounts(store_pvc=claim))
        return path.read_bytes()


@functools.cache
def pipeline(image: str = IMAGE, claim: str = "") -> Pipeline:
    """Compile the pipeline and read it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        path.write_bytes(compiled(image, claim))
        return read_pipeline(path)


def files_of(about: Subject, broken: str = "", policy: str = POLICY, name: str = "A") -> dict[str, bytes]:
    """Return the files of a candidate, as gate and save write them.

    Args:
        about: the subject of the evidence.
        broken: the check of the gate that fails.
        policy: the policy of the verdict.
        name: another name is another model.
    """
    models = {"model.keras": f"weights of {name}".encode(), "model.onnx": f"graph of {name}".encode()}
    models["served.json"] = canonical_bytes(SERVED)
    digests = {**DIGESTS, **{model: digest(data) for model, data in models.items()}}
    reports = edited(
        passing_reports(digests, about.champion), {"data_report.data_version": about.data_version}
    )
    if broken:
        reports = edited(reports, MUTATIONS[broken].edits_beside(about.champion))
    return {
        **models,
        "labels.json": b'["BR","SE"]\n',
        "profile.json": PROFILE,
        **{f"{report}.json": canonical_bytes(content) for report, content in reports.items()},
        "evidence.json": make_evidence(about, manifest_of(models), reports, policy, DAY).to_bytes(),
    }


@dataclass
class World:
    """A served DSPA, folders for store and evidence, and what a command printed and displayed."""

    home: Path
    dspa: Dspa
    token_file: Path | None = None
    pipeline_root: str = ""
    said: list[str] = field(default_factory=list)
    shown: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def __post_init__(self):
        self.dspa.on_finish = self.leave
        self.store.mkdir(exist_ok=True)

    @property
    def store(self) -> Path:
        """The folder of the store."""
        return self.home / "store"

    def submission(
        self, attempt: str = "attempt-1", image: str = IMAGE, policy: str = POLICY, **changes: Any
    ) -> Submission:
        """Return a submission; ``changes`` are other parameters or hyperparameters."""
        of = pipeline(image)
        about = subject(image=image).to_json()
        tables = {"problem": "songs", "table_uris": {"rankings": "sample:", "songs": "sample:"}}
        chosen = {name: changes.pop(name) for name in [*changes] if name in of.hyperparameters}
        places = {"store_uri": str(self.store), **tables, "hyperparameters": {**of.hyperparameters, **chosen}}
        given = {**about, **places, "policy": parse_policy(policy).digest, **changes}
        del given["run_id"], given["nonce"]
        nonce = digest(canonical_bytes([attempt, of.digest, given])).removeprefix("sha256:")[:32]
        where = f"{self.home}/evidence/{nonce}/{{run_id}}.json"
        given = {"nonce": nonce, "evidence_uri": where, **given, **changes}
        about = {"experiment": "jukebox", "attempt": attempt, "policy_text": policy}
        return Submission(pipeline=of, parameters=given, **about)

    def client(self, timeouts: Timeouts | None = None) -> Client:
        """Return a client of the DSPA."""
        where = {"host": self.dspa.url, "namespace": "ci", "pipeline_root": self.pipeline_root}
        connection = Connection(**where, token_file=self.token_file)
        return Client(connection, timeouts or Timeouts(**TIMEOUTS))

    def submit(
        self,
        submission: Submission | None = None,
        *,
        leave_running: bool = False,
        task_run: TaskRun | None = None,
        show: Show | None = None,
        **timeouts: float,
    ) -> RunOutcome:
        """Submit and follow, as the command does."""
        waits = Timeouts(**{**TIMEOUTS, **timeouts})
        return dspa_run.submit(
            self.client(waits),
            submission or self.submission(),
            timeouts=waits,
            say=self.said.append,
            show=show or (lambda state, tasks: self.shown.append((state, dict(tasks)))),
            leave_running=leave_running,
            task_run=task_run,
        )

    def follow(self, run_id: str, *, policy: str = POLICY, **timeouts: float) -> RunOutcome:
        """Follow an existing run."""
        waits = Timeouts(**{**TIMEOUTS, **timeouts})
        return dspa_run.follow_run(
            self.client(waits),
            run_id,
            policy,
            timeouts=waits,
            say=self.said.append,
            show=lambda state, tasks: self.shown.append((state, dict(tasks))),
        )

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
        with pytest.raises(EvidenceError, match=message) as caught:
            self.submit(submission)
        assert (caught.value.exit_code, self.count("create_run"), self.count("terminate")) == (40, before, 0)

    def begin(self, submission: Submission | None = None, *, ahead: float = 0) -> Run:
        """Start a run without `jukebox submit`, on a server whose clock is so many seconds ahead."""
        known = [one for one in self.dspa.experiments.values() if one.display_name == "jukebox"]
        experiment = known[0] if known else self.dspa.add_experiment("jukebox")
        body = (submission or self.submission()).body(experiment.experiment_id)
        self.dspa.clock_skew, before = ahead, self.dspa.clock_skew
        try:
            return self.client().create_run(body)
        finally:
            self.dspa.clock_skew = before

    def evidence_of(self, run: RunRecord) -> Path:
        """Return the place of a run's evidence."""
        return Path(run.parameters["evidence_uri"].replace("{run_id}", run.run_id))

    def files(self, run: RunRecord, broken: str = "", policy: str = POLICY, **about: Any) -> dict[str, bytes]:
        """Return the files of a run's candidate; ``about`` are other fields of the evidence's subject."""
        own = {name: run.parameters[name] for name in Subject.model_fields if name in run.parameters}
        return files_of(Subject(**{**own, "run_id": run.run_id, **about}), broken, policy)

    def write_evidence(self, run: RunRecord, data: bytes) -> None:
        """Write the evidence, as the step gate does."""
        path = self.evidence_of(run)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def leave(self, run: RunRecord, broken: str = "", **changes: Any) -> None:
        """Write what gate and save write; a terminated run leaves nothing."""
        if run.terminated:
            return
        files = self.files(run, broken, **changes)
        self.write_evidence(run, files["evidence.json"])
        if not broken:
            store_run(ModelStore(run.parameters["store_uri"], create=True), files)

    def leaving(self, broken: str = "", **changes: Any) -> None:
        """Have runs leave something else."""
        self.dspa.on_finish = lambda run: self.leave(run, broken, **changes)

    def kinds(self) -> list[str]:
        """List which calls were made, in order."""
        return [request.kind for request in self.dspa.requests]

    def count(self, kind: str) -> int:
        """Count the calls of a kind."""
        return self.kinds().count(kind)

    def runs(self) -> list[RunRecord]:
        """List all runs."""
        return list(self.dspa.runs.values())


@contextlib.contextmanager
def world(home: Path, **settings: Any) -> Iterator[World]:
    """Serve a DSPA with a world around it."""
    with unhurried(), serving(Dspa(**settings)) as dspa:
        yield World(home, dspa)


@contextlib.contextmanager
def unhurried() -> Iterator[None]:
    """Retry after a hundredth of a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "FIRST", 0.01)
        yield


def outcome(call: Callable[[], RunOutcome]) -> RunOutcome | JukeboxError:
    """Return what a call returns or raises."""
    try:
        return call()
    except JukeboxError as error:
        return error


def at_first(kind: str, act: Callable[[], Any]) -> Callable[[Request], None]:
    """Return a `fault` that acts before the first request of a kind is answered."""
    seen: list[Request] = []

    def fault(request: Request) -> None:
        if request.kind == kind:
            seen.append(request)
            if len(seen) == 1:
                act()

    return fault


def nth(kind: str, faults: dict[int, Any]) -> Callable[[Request], Any]:
    """Return a `fault` for the first, second, … request of a kind."""
    seen: list[Request] = []

    def fault(request: Request) -> Any:
        if request.kind != kind:
            return None
        seen.append(request)
        return faults.get(len(seen))

    return fault

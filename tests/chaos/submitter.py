"""The submitter under test: the call of `jukebox submit`, with short waits."""

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from policies import default_policy

from ml.core.canonical import digest
from ml.dspa import run, session, transport
from ml.dspa.client import Client
from ml.dspa.compiled import Pipeline
from ml.dspa.connection import Connection
from ml.dspa.outcome import RunOutcome
from ml.dspa.submission import Submission
from ml.dspa.timeouts import Timeouts
from ml.gate.evidence import Subject

IMAGE = "localhost/jukebox@" + digest(b"image")
EXPERIMENT, NONCE = "jukebox", "0123456789abcdef0123456789abcdef"
TYPES = {"dirty": "BOOLEAN"}
WAITS = {
    **{"connect": 0.5, "read": 0.4, "request": 0.6, "start": 1, "outage": 1, "refused": 0.4, "settle": 0.3},
    **{"unknown": 0.1, "vanished": 0.05, "canceling": 0.1, "evidence": 0.4, "storage": 3, "stop": 0.6},
    **{"poll": 0.01, "poll_most": 0.03},
}
"""All waits, about two hundred times shorter than usual."""


@contextlib.contextmanager
def hurried() -> Iterator[None]:
    """Shorten the pauses that are constants, and silence the library that logs every fault."""
    log = logging.getLogger("urllib3.connectionpool")
    before = session.FIRST, transport.AGAIN, log.level
    session.FIRST = 0.01
    transport.AGAIN = transport.AGAIN.new(backoff_factor=0.005, backoff_jitter=0)
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        session.FIRST, transport.AGAIN = before[:2]
        log.setLevel(before[2])


def submission(home: Path) -> Submission:
    """Return a submission of a pipeline of one task."""
    parameters = {
        "model_name": "jukebox",
        "model_version": "1",
        "commit": "01b945fae5ea18936b79d1d1ec0dd341b22d6aac",
        "dirty": False,
        "image": IMAGE,
        "data_version": "59ddef4777eb0125",
        "champion": "",
        "nonce": NONCE,
        "evidence_uri": f"{home}/evidence/{NONCE}/{{run_id}}.json",
        "store_uri": f"{home}/store",
    }
    kinds = {name: {"parameterType": TYPES.get(name, "STRING")} for name in parameters}
    task = {"taskInfo": {"name": "gate"}, "componentRef": {"name": "comp-gate"}}
    container = {"image": IMAGE, "command": ["python"]}
    spec = {
        "pipelineInfo": {"name": "tiny"},
        "schemaVersion": "2.1.0",
        "sdkVersion": "kfp-2.17.0",
        "root": {"dag": {"tasks": {"gate": task}}, "inputDefinitions": {"parameters": kinds}},
        "components": {"comp-gate": {"executorLabel": "exec-gate"}},
        "deploymentSpec": {"executors": {"exec-gate": {"container": container}}},
    }
    assert set(Subject.model_fields) - {"run_id"} <= set(parameters)
    pipeline = Pipeline(spec=spec, platform={}, digest=digest(b"pipeline"), image=IMAGE)
    return Submission(
        pipeline=pipeline,
        experiment=EXPERIMENT,
        attempt="attempt",
        parameters=parameters,
        policy_text=default_policy().text,
    )


def submit(
    connection: Connection,
    home: Path,
    deadline: float,
    say: Callable[[str], None],
    show: Callable[[str, Mapping[str, str]], None],
) -> RunOutcome:
    """Do what `jukebox submit` does, with short waits."""
    timeouts = Timeouts(deadline=deadline, **WAITS)
    client = Client(connection, timeouts)
    # An attribute of its module, which the tests replace.
    return run.submit(client, submission(home), timeouts=timeouts, say=say, show=show)

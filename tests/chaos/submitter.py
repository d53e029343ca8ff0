"""The submitter under test: the call that `jukebox submit` makes, here or in a process that may be killed.

As a module it reads a JSON of its arguments from its command line, and prints what came of it.
"""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ml.core.canonical import digest
from ml.core.errors import JukeboxError
from ml.dspa import run, session, transport
from ml.dspa.client import Client
from ml.dspa.compiled import Pipeline
from ml.dspa.connection import Connection
from ml.dspa.outcome import RunOutcome
from ml.dspa.submission import Submission
from ml.dspa.timeouts import Timeouts
from ml.gate.evidence import Subject
from policies import default_policy

IMAGE = "localhost/jukebox@" + digest(b"image")
EXPERIMENT, NONCE = "jukebox", "0123456789abcdef0123456789abcdef"
TYPES = {"dirty": "BOOLEAN"}
WAITS = {
    "connect": 0.5,
    "read": 0.4,
    "request": 0.6,
    "start": 1,
    "outage": 1,
    "refused": 0.4,
    "settle": 0.3,
    "unknown": 0.1,
    "vanished": 0.05,
    "canceling": 0.1,
    "evidence": 0.4,
    "storage": 3,
    "stop": 0.6,
    "poll": 0.01,
    "poll_most": 0.03,
}
"""All waits, about two hundred times shorter than in life."""


def hurry() -> dict[str, Any]:
    """Shorten the pauses that are constants, and return what they were."""
    before = {"FIRST": session.FIRST, "AGAIN": transport.AGAIN}
    session.FIRST = 0.01
    transport.AGAIN = transport.AGAIN.new(backoff_factor=0.005, backoff_jitter=0)
    return before


def restore(before: Mapping[str, Any]) -> None:
    """Undo `hurry`."""
    session.FIRST, transport.AGAIN = before["FIRST"], before["AGAIN"]


def submission(home: Path) -> Submission:
    """Put together what is submitted: all that is decided on, for a pipeline of one task."""
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
    spec = {
        "pipelineInfo": {"name": "tiny"},
        "schemaVersion": "2.1.0",
        "sdkVersion": "kfp-2.17.0",
        "root": {
            "dag": {"tasks": {"gate": {"taskInfo": {"name": "gate"}, "componentRef": {"name": "comp-gate"}}}},
            "inputDefinitions": {"parameters": kinds},
        },
        "components": {"comp-gate": {"executorLabel": "exec-gate"}},
        "deploymentSpec": {
            "executors": {"exec-gate": {"container": {"image": IMAGE, "command": ["python"]}}}
        },
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
    """Do what `jukebox submit` does, in a hurry."""
    timeouts = Timeouts(deadline=deadline, **WAITS)
    client = Client(connection, timeouts)
    # As an attribute of its module: the tests break it there.
    return run.submit(client, submission(home), timeouts=timeouts, say=say, show=show)


def main(arguments: str) -> None:
    """Submit once, and print what came of it as one line of JSON."""
    given = json.loads(arguments)
    hurry()
    connection = Connection(host=given["host"], token_file=Path(given["token_file"]))
    said: list[str] = []
    try:
        found = submit(connection, Path(given["home"]), given["deadline"], said.append, lambda *_: None)
        outcome: dict[str, Any] = {"known": found.model_dump_json()}
    except JukeboxError as error:
        outcome = {"error": type(error).__name__, "exit_code": error.exit_code, "message": str(error)}
    print(json.dumps({**outcome, "said": said}))


if __name__ == "__main__":
    main(sys.argv[1])

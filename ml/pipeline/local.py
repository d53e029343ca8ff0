"""Run the compiled IR on this machine, through `kfp.local`, step by step in processes of their own.

kfp.local prints much and explains little: a failing step is a RuntimeError without a cause. So it runs in a
child process whose output is the run's log, and the steps' own events tell what happens and why.
"""

import contextlib
import fcntl
import json
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from ml.core.errors import DataError, EvidenceError, PlatformError, RunFailed, UsageError
from ml.core.files import write_bytes, write_json
from ml.core.settings import LOCAL_IMAGE
from ml.core.signals import uninterrupted
from ml.core.version import code_version
from ml.data.resolution import resolve_data
from ml.data.uris import refuse_password, table_paths
from ml.gate.evidence import MODEL_NAME, Subject
from ml.gate.policy import parse_policy
from ml.pipeline.compiler import compile_pipeline, require_pipeline
from ml.pipeline.run_folder import new_name
from ml.pipeline.steps import EVENTS
from ml.problem import load_definition
from ml.release.judgement import Judgement, judge
from ml.release.policy_file import POLICY_FILE
from ml.release.promotion import champion_of
from ml.release.store import ModelStore

Event = dict[str, Any]
FULL = 1 << 20
"""Bytes free on a disk below which it is the likely reason for a silent end."""


class LocalRun(BaseModel):
    """A run on this machine: what was asked for, and where everything about it lies."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    folder: Path
    ir: Path
    policy_text: str
    parameters: dict[str, Any]

    @property
    def evidence(self) -> Path:
        """Where the gate writes the evidence."""
        return self.folder / "evidence.json"

    @property
    def log(self) -> Path:
        """Everything that the steps and kfp.local printed."""
        return self.folder / "run.log"

    @property
    def artifacts(self) -> Path:
        """Everything that the steps wrote, a folder each."""
        return self.folder / "artifacts"


def prepare(
    problem: str,
    tables: Mapping[str, str],
    snapshot: str,
    store_uri: str,
    runs: Path,
    policy_text: str,
    model: tuple[str, str],
    hyperparameters: Mapping[str, Any],
    ir: Path | None,
) -> LocalRun:
    """Pin what the run is about (data, code, champion, nonce), and compile the IR.

    Args:
        problem: the problem's name.
        tables: path or URI of each table, {} with a snapshot.
        snapshot: path or URI of a training snapshot, "" without one.
        store_uri: the model store.
        runs: the folder of all runs.
        policy_text: the policy as one line.
        model: name and version.
        hyperparameters: all of them.
        ir: a compiled pipeline to run; None compiles it.

    Raises:
        UsageError: a table or the folder is not there, or cannot be read or written.
        PlatformError: a server or the store cannot be reached.
    """
    if not re.fullmatch(MODEL_NAME, model[0]):
        raise UsageError(f"--model-name {model[0]}: use lower-case letters, digits, dots and dashes")
    for uri in tables.values():
        refuse_password(uri)
    version = resolve_data(load_definition(problem), tables, snapshot)
    champion = champion_of(ModelStore(store_uri, create=True).log())
    commit, dirty = code_version()
    nonce = secrets.token_hex(16)
    policy = parse_policy(policy_text)
    folder = runs.absolute() / new_name(nonce)
    if ir is not None:
        require_pipeline(ir)
    run = LocalRun(folder=folder, ir=folder / "pipeline.yaml", policy_text=policy_text, parameters={})
    parameters = {
        "problem": problem,
        "table_uris": dict(tables),
        "snapshot_uri": snapshot,
        "hyperparameters": dict(hyperparameters),
        "data_version": version,
        "commit": commit,
        "dirty": dirty,
        "nonce": nonce,
        "champion": champion,
        "evidence_uri": str(run.evidence),
        "store_uri": store_uri,
        # Whatever the IR names: the steps run in this environment, and the evidence has to say so.
        "image": LOCAL_IMAGE,
        "policy": policy.digest,
        "model_name": model[0],
        "model_version": model[1],
    }
    try:
        folder.mkdir(parents=True)
        # A URI may be signed, and a log may quote it: the run is its user's own.
        folder.chmod(0o700)
        (folder / "tmp").mkdir()
        if ir is None:
            compile_pipeline(run.ir, problem=problem)
        else:
            shutil.copyfile(ir, run.ir)
        write_bytes(folder / POLICY_FILE, policy.to_bytes())
        write_json(folder / "parameters.json", parameters)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise UsageError(
            f"cannot prepare the run in {runs}: {error.strerror or error}; name another folder with --runs"
        ) from error
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return run.model_copy(update={"parameters": parameters})


def execute(run: LocalRun, on_event: Callable[[Event], None]) -> None:
    """Run the IR and report each event of each step as it happens.

    Raises:
        RunFailed: a step failed; the message is the step's own. A blocking gate raises nothing: its
            evidence says so.
        PlatformError: a step could not reach a service.
        Interrupted: passed on, after every process of the run has ended.
    """
    events = run.folder / "events.jsonl"
    temporary = run.folder / "tmp"
    environment = {**os.environ, EVENTS: str(events), "TMPDIR": str(temporary)}
    command = [sys.executable, "-m", "ml.pipeline.local", str(run.folder), str(os.getpid())]
    seen: list[Event] = []
    with open(run.log, "wb") as log:
        # Held as long as a process of the run lives, for `jukebox runs`; some network disks have no locks.
        with contextlib.suppress(OSError):
            fcntl.flock(log, fcntl.LOCK_EX)
        child = None
        try:
            # Who is interrupted within Popen has a child that nobody knows of.
            with uninterrupted():
                child = subprocess.Popen(
                    command, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
                )
            while child.poll() is None and not _hopeless(seen):
                time.sleep(0.05)
                _follow(events, seen, on_event)
            _follow(events, seen, on_event)
        finally:
            if child:
                _end(child)
            shutil.rmtree(temporary, ignore_errors=True)
    if child.returncode == 0:
        return
    last = seen[-1] if seen else {"step": "the run", "event": "start"}
    if last["event"] != "error":
        running = last["step"] if last["event"] == "start" else "the run"
        raise RunFailed(f"{running} ended without a word: {_last_word(run)}")
    if last["step"] == "preprocess" and "validate" not in {event["step"] for event in seen}:
        _judge_tables(run)
    if not last["blocked"]:
        kind = RunFailed if last["permanent"] else PlatformError
        raise kind(f"{last['step']} failed: {last['message']}")


def collect(run: LocalRun) -> Judgement:
    """Return the run's evidence, judged as `jukebox submit` judges a cluster's.

    Raises:
        EvidenceError: it is missing, malformed, or about something else.
    """
    try:
        data = run.evidence.read_bytes()
    except OSError as error:
        raise EvidenceError(f"the run left no evidence at {run.evidence}; {run.log} says why") from error
    expected = {name: run.parameters[name] for name in Subject.model_fields if name != "run_id"}
    return judge(data, str(run.evidence), {**expected, "run_id": run.folder.name}, run.policy_text)


def _hopeless(seen: list[Event]) -> bool:
    """Tell whether the last word is a failure that trying again cannot mend, though the IR would try."""
    return bool(seen) and seen[-1]["event"] == "error" and seen[-1]["permanent"]


def _follow(events: Path, seen: list[Event], on_event: Callable[[Event], None]) -> None:
    """Report the events that have come since; a line that is still being written waits."""
    if not events.exists():
        return
    lines = events.read_text(encoding="utf-8").split("\n")[:-1]
    for line in lines[len(seen) :]:
        seen.append(json.loads(line))
        on_event(seen[-1])


def _last_word(run: LocalRun) -> str:
    """Guess why a step fell silent: a full disk, a kill, or what kfp.local itself said last."""
    if shutil.disk_usage(run.folder).free < FULL:
        return "the disk is full; free some space, or name another folder with --runs"
    lines = run.log.read_text(encoding="utf-8", errors="replace").strip().split("\n")
    if "finished with status" in lines[-1] or not lines[-1]:
        return "killed, or out of memory? Run it again with more memory free"
    return lines[-1]


def _judge_tables(run: LocalRun) -> None:
    """Check the tables against the contract, which says best what is wrong with them.

    kfp.local runs siblings one after the other and stops at the first that fails: where preprocess comes
    first and stumbles over the tables, validate has not had its say.
    """
    from ml.data.contract import validate

    (fetched,) = run.artifacts.glob("*/fetch")
    definition = load_definition(run.parameters["problem"])
    tables = table_paths(definition.TABLES, fetched / "tables")
    try:
        targets = run.folder / "data_report.json", run.folder / "profile.json"
        validate(definition, tables, fetched / "source.json", os.devnull, "", *targets)
    except DataError as error:
        raise RunFailed(f"validate failed: {error}") from error


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Kill the child and all of its processes; nothing that they write is whole before it is renamed."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _die_with(parent: int) -> None:
    """End the run when the command that began it is gone: nobody waits for it, or would promote it."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os.killpg(0, signal.SIGKILL)


def name_interpreter(command: list[str], interpreter: str) -> list[str]:
    """Return a step's command with our Python in place of `python3`, where its shell script calls it.

    kfp.local's own function puts the path unquoted into the script, which a space ends, and also replaces
    the word in values, such as a table's path.
    """
    called = "python3 -m kfp."
    return [part.replace(called, f"{shlex.quote(interpreter)} -m kfp.") for part in command]


def main(folder: Path, parent: int) -> None:
    """Run the IR in a run's folder for a parent process; this is the child."""
    threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
    from kfp import components, dsl, local
    from kfp.local import subprocess_task_handler

    subprocess_task_handler.replace_python_executable = name_interpreter
    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=str(folder / "artifacts"),
        # Its key ignores the installed code: a cached step could be the work of another commit.
        enable_caching=False,
    )
    parameters = json.loads((folder / "parameters.json").read_bytes())
    # kfp.local would make up an id; the run has one name everywhere.
    text = (folder / "pipeline.yaml").read_text(encoding="utf-8")
    components.load_component_from_text(text.replace(dsl.PIPELINE_JOB_ID_PLACEHOLDER, folder.name))(
        **parameters
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

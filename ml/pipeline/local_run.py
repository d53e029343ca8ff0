"""A run on this machine: what it is about, its folder and its evidence."""

import re
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from ml.core.errors import EvidenceError, UsageError
from ml.core.files import write_bytes, write_json
from ml.core.settings import LOCAL_IMAGE
from ml.core.version import code_version
from ml.data.resolution import resolve_data
from ml.data.uris import refuse_password
from ml.gate.evidence import MODEL_NAME, Subject
from ml.gate.policy import parse_policy
from ml.pipeline.compiler import compile_pipeline, require_pipeline
from ml.pipeline.run_folder import new_name
from ml.problem import load_definition
from ml.release.judgement import Judgement, judge
from ml.release.policy_file import POLICY_FILE
from ml.release.promotion import champion_of
from ml.release.store import ModelStore


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
        # Whatever image the IR names: the steps run in this environment, and the evidence has to say so.
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

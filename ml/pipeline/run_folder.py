"""One local run, read back from the folder that it left: whole, half-written or still under way."""

import contextlib
import datetime
import fcntl
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ml.core.canonical import digest
from ml.core.errors import JukeboxError
from ml.core.files import read_json
from ml.core.records import first_problem
from ml.data.uris import SAMPLE, describe_data
from ml.gate.evidence import Evidence, policy_digest, read_evidence
from ml.pipeline.run_record import Parameters, Run, State
from ml.release.store import ModelStore

NAME = re.compile(r"(\d{8}-\d{6})-[0-9a-f]{6}")
"""A run's name: when it was prepared (UTC), and the beginning of its nonce."""


def new_name(nonce: str) -> str:
    """Return the name of a run that is prepared now."""
    return f"{datetime.datetime.now(datetime.UTC):%Y%m%d-%H%M%S}-{nonce[:6]}"


def started(folder: Path) -> str:
    """Return when a run was prepared (UTC), "" where its name does not say it."""
    named = NAME.fullmatch(folder.name)
    with contextlib.suppress(ValueError):
        if named:
            return datetime.datetime.strptime(named[1], "%Y%m%d-%H%M%S").strftime("%Y-%m-%dT%H:%M:%SZ")
    return ""


def read_run(folder: Path, promotions: Callable[[str], tuple[dict[str, int], str]]) -> Run:
    """Read one run; any fault in its files makes it a broken run.

    Args:
        folder: the run's folder.
        promotions: gives the promotions of a store, as `promotions_in` does.
    """
    known = {"id": folder.name, "where": folder, "started": started(folder)}
    try:
        asked = Parameters.model_validate(read_json(folder / "parameters.json"), strict=True)
    except FileNotFoundError:
        return Run(**known, state="broken", problem="parameters.json is missing: not a run, or never started")
    except OSError as error:
        return Run(**known, state="broken", problem=f"cannot be read: {error.strerror}")
    except ValidationError as error:
        return Run(**known, state="broken", problem=f"parameters.json: {first_problem(error)}")
    except (TypeError, ValueError) as error:
        return Run(**known, state="broken", problem=f"parameters.json: {error}")
    evidence, data, problem = _evidence(folder, asked.nonce)
    state, step, message = _state(folder, evidence, problem)
    numbers, unread = promotions(asked.store_uri) if evidence else ({}, "")
    synthetic = any(uri.startswith(SAMPLE) for uri in asked.table_uris.values())
    return Run(
        **known,
        state=state,
        step=step,
        problem=message or unread,
        source=describe_data(asked.table_uris, asked.snapshot_uri),
        synthetic=synthetic,
        policy=_digest_of(asked.policy),
        hyperparameters=asked.hyperparameters,
        evidence=evidence,
        promotion=numbers.get(digest(data)),
        **asked.model_dump(include={"commit", "dirty", "data_version", "image", "champion"}),
        problem_name=asked.problem,
        model_name=asked.model_name,
        model_version=asked.model_version,
    )


def _digest_of(policy: str) -> str:
    """Return the digest of a run's policy; a run of 0.1 has the text as its parameter."""
    return policy if policy.startswith("sha256:") else policy_digest(policy)


def _evidence(folder: Path, nonce: str) -> tuple[Evidence | None, bytes, str]:
    """Return a run's evidence and its bytes, or why there is none; "" where it is only not there yet."""
    try:
        data = (folder / "evidence.json").read_bytes()
        evidence = read_evidence(data)
    except FileNotFoundError:
        return None, b"", ""
    except OSError as error:
        return None, b"", f"evidence.json: {error.strerror}"
    except ValueError as error:
        return None, b"", f"evidence.json: {error}"
    if evidence.subject.nonce != nonce:
        return None, b"", "evidence.json is about another run"
    return evidence, data, ""


def _state(folder: Path, evidence: Evidence | None, problem: str) -> tuple[State, str, str]:
    """Tell how a run ended, at which step, and why."""
    event = _last_event(folder)
    step, what = str(event.get("step", "")), event.get("event")
    if is_running(folder):
        return "running", step, ""
    if what == "error" and not event.get("blocked"):
        return "failed", step, str(event.get("message", ""))
    if problem:
        return "broken", "", problem
    if evidence and what != "start":
        return ("pass" if evidence.verdict.passed else "blocked"), "", ""
    if what == "start":
        return "interrupted", step, f"{step} started and did not end"
    return "interrupted", "", f"it stopped after {step}" if step else "it stopped before its first step"


def _last_event(folder: Path) -> dict[str, Any]:
    """Return the last whole event of a run's steps, {} for none."""
    try:
        lines = (folder / "events.jsonl").read_bytes().split(b"\n")[:-1]
        event = json.loads(lines[-1])
    except (OSError, IndexError, ValueError):
        return {}
    return event if isinstance(event, dict) else {}


def is_running(folder: Path) -> bool:
    """Tell whether a process of the run lives: each holds the lock of its log."""
    try:
        with open(folder / "run.log", "rb") as log:
            fcntl.flock(log, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def promotions_in(store: str) -> tuple[dict[str, int], str]:
    """Return the numbers of promotions by the digest of their evidence, or why the log cannot be read.

    A bucket is not asked.
    """
    if not Path(store).is_dir():
        return {}, ""
    try:
        return {entry.evidence_digest: entry.number for entry in ModelStore(store).log()}, ""
    except JukeboxError as error:
        return {}, str(error)

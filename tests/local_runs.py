"""Folders of local runs, as `jukebox run` leaves them, made without running anything."""

import json
from pathlib import Path
from typing import Any

from candidates import candidate_files
from reports import POLICY, subject

from ml.gate.evidence import policy_digest
from ml.problems.songs.hyperparameters import Hyperparameters

FIRST = "20260101-120000-aaaaaa"
SECOND = "20260102-093000-bbbbbb"


def events(*pairs: tuple[str, str], **last: Any) -> str:
    """Write events of steps as (step, event); other fields belong to the last."""
    told = [{"step": step, "event": event} for step, event in pairs]
    told[-1].update(last)
    return "".join(json.dumps(event) + "\n" for event in told)


ENDED = events(("fetch", "start"), ("fetch", "end"), ("save", "start"), ("save", "end"))
BLOCKED = events(("gate", "start"), ("gate", "error"), message="blocked", blocked=True, permanent=True)


def make_run(
    folder: Path,
    name: str = FIRST,
    told: str = ENDED,
    evidence: dict[str, Any] | None = None,
    hyperparameters: dict[str, Any] | None = None,
    **changes: Any,
) -> Path:
    """Make the folder of a run below that of all runs.

    ``told`` are its steps' events as they are in the file; ``evidence`` is what `candidate_files` takes to
    make its evidence, None for none; ``changes`` are other parameters.
    """
    home = folder / name
    home.mkdir(parents=True)
    about = subject(nonce=name.rpartition("-")[2] + "0" * 26, champion="").to_json()
    del about["run_id"]
    parameters = {
        "problem": "songs",
        "table_uris": {"rankings": "sample:", "songs": "sample:"},
        "hyperparameters": {**Hyperparameters().model_dump(), **(hyperparameters or {})},
        "policy": policy_digest(POLICY),
        "store_uri": str(folder.parent / "store"),
        "evidence_uri": str(home / "evidence.json"),
        **about,
        **changes,
    }
    (home / "parameters.json").write_text(json.dumps(parameters))
    (home / "run.log").write_text("")
    if told:
        (home / "events.jsonl").write_text(told)
    if evidence is not None:
        stated = ("nonce", "commit", "dirty", "data_version", "champion")
        files = candidate_files(**{**{field: parameters[field] for field in stated}, **evidence})
        (home / "evidence.json").write_bytes(files["evidence.json"])
    return home

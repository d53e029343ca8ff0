"""What gate and save leave when a run ends: the truth, and everything that only looks like it."""

import json
from pathlib import Path

from candidates import store_run
from dspa_server import RunRecord
from submissions import files_of

from ml.core.canonical import canonical_bytes
from ml.gate.evidence import Subject
from ml.release.store import ModelStore

BROKEN = "evaluation.gain_over_prior.low"
ABOUT = {
    "other run": {"run_id": "another-run"},
    "other nonce": {"nonce": "f" * 32},
    "other commit": {"commit": "f" * 40},
    "other champion": {"champion": "f" * 64},
}
"""Evidence about something else in the place of the run's own."""

TRUE = ("pass", "late", "too late")


def leave(run: RunRecord, leaves: str) -> None:
    """Leave evidence and candidate, in one of the ways of `schedules.LEAVINGS`."""
    own = {name: run.parameters[name] for name in Subject.model_fields if name != "run_id"}
    about = Subject(**{**own, "run_id": run.run_id, **ABOUT.get(leaves, {})})
    files = files_of(about, BROKEN if leaves in ("block", "lying") else "")
    data = files["evidence.json"]
    if leaves == "lying":
        verdict = json.loads(files_of(about)["evidence.json"])["verdict"]
        files["evidence.json"] = data = canonical_bytes({**json.loads(data), "verdict": verdict})
    if leaves not in ("block", "candidate missing", "missing"):
        store = Path(run.parameters["store_uri"])
        candidate = store_run(ModelStore(str(store), create=True), files)
        if leaves == "candidate tampered":
            (store / "candidates" / candidate / "model.onnx").write_bytes(b"another graph")
    if leaves == "garbled":
        data = data.replace(b'"passed":true', b'"passed": true', 1)
    if leaves == "truncated":
        data = data[: len(data) // 2]
    if leaves != "missing":
        path = Path(run.parameters["evidence_uri"].replace("{run_id}", run.run_id))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".new").write_bytes(data)
        path.with_suffix(".new").rename(path)

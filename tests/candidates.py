"""Candidates as a run stores them, and the objects of a store without the checks of `ModelStore`."""

import json
from collections.abc import Mapping
from typing import Any

import obstore
from mutations import MUTATIONS
from reports import DAY, DIGESTS, POLICY, PROFILE, SERVED, edited, passing_reports, subject

from ml.core.canonical import canonical_bytes, digest
from ml.gate.candidate import CANDIDATE_FILES, manifest_of
from ml.gate.evidence import make_evidence
from ml.release.store import ModelStore
from ml.storage.objects import open_folder


def candidate_files(
    name: str = "A",
    champion: str = "",
    broken: str = "",
    policy: str = POLICY,
    edits: Mapping[str, Any] = {},
    **changes: Any,
) -> dict[str, bytes]:
    """Make the files that a run stores: a candidate and its reports, made beside a champion ("" for none).

    Another name is another model. ``broken`` is a check of the gate that it fails, ``edits`` are other values
    in the reports by dotted paths, ``changes`` other fields of the subject.
    """
    models = {"model.keras": f"weights of {name}".encode(), "model.onnx": f"graph of {name}".encode()}
    models["served.json"] = canonical_bytes(SERVED)
    digests = {**DIGESTS, **{model: digest(data) for model, data in models.items()}}
    broken_by = MUTATIONS[broken].edits_beside(champion) if broken else {}
    reports = edited(passing_reports(digests, champion), {**broken_by, **edits})
    about = subject(champion=champion, **{"run_id": f"run-of-{name}", **changes})
    return {
        **models,
        "labels.json": b'["BR","SE"]\n',
        "profile.json": PROFILE,
        **{f"{report}.json": canonical_bytes(content) for report, content in reports.items()},
        "evidence.json": make_evidence(about, manifest_of(models), reports, policy, DAY).to_bytes(),
    }


def model_of(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files of the candidate."""
    return {name: files[name] for name in CANDIDATE_FILES}


def reports_of(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the reports about the candidate."""
    return {name: data for name, data in files.items() if name not in CANDIDATE_FILES}


def store_run(store: ModelStore, files: Mapping[str, bytes]) -> str:
    """Store the files of a run, as the step save does."""
    try:
        run = json.loads(files["evidence.json"])["subject"]["run_id"]
    except (LookupError, TypeError, ValueError):
        run = "a-run"
    return store.put_candidate(model_of(files), run, reports_of(files))


def put(store: ModelStore, name: str = "A", champion: str = "", **about: Any) -> str:
    """Store a candidate as `candidate_files` makes it."""
    return store_run(store, candidate_files(name, champion, **about))


def paths(uri: str) -> list[str]:
    """List all objects of a store."""
    return sorted(entry["path"] for page in obstore.list(open_folder(uri)) for entry in page)


def read(uri: str, path: str) -> bytes:
    """Read an object of a store."""
    return bytes(obstore.get(open_folder(uri), path).bytes())


def overwrite(uri: str, path: str, data: bytes) -> None:
    """Write an object of a store."""
    obstore.put(open_folder(uri), path, data)


def delete(uri: str, path: str) -> None:
    """Delete an object of a store."""
    obstore.delete(open_folder(uri), path)

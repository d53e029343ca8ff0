"""Candidates as a run stores them, and the objects of a store without the checks of `ModelStore`."""

import json
from collections.abc import Mapping
from typing import Any

import obstore
import pytest
from mutations import MUTATIONS
from reports import (
    CHAMPION_ONNX,
    DAY,
    DIGESTS,
    POLICY,
    PROFILE,
    SERVED,
    comparison,
    edited,
    passing_reports,
    subject,
)

from ml.core.canonical import canonical_bytes, digest
from ml.gate.candidate import CANDIDATE_FILES, manifest_of
from ml.gate.evidence import make_evidence
from ml.release.promotion import promote
from ml.release.store import ModelStore
from ml.storage.objects import open_folder


def candidate_files(
    name: str = "A",
    champion: str = "",
    broken: str = "",
    policy: str = POLICY,
    champion_model: bytes = CHAMPION_ONNX,
    served: Mapping[str, Any] = SERVED,
    edits: Mapping[str, Any] | None = None,
    **changes: Any,
) -> dict[str, bytes]:
    """Make the files that a run stores: a candidate and its reports, made beside a champion ("" for none).

    Another name is another model. ``broken`` is a check of the gate that it fails, ``served`` its settings,
    ``edits`` are other values in the reports by dotted paths, ``changes`` other fields of the subject.
    """
    changes = {"run_id": f"run-of-{name}", **changes}
    models = {"model.keras": f"weights of {name}".encode(), "model.onnx": f"graph of {name}".encode()}
    models["served.json"] = canonical_bytes(served)
    digests = {**DIGESTS, **{model: digest(data) for model, data in models.items()}}
    told = {"parity.served": served, "parity.runtimes.0.settings": dict(served["settings"])}
    reports = edited(passing_reports(digests, champion), told)
    if champion:
        reports["evaluation"]["champion"] = comparison(champion, champion_model)
    broken_by = MUTATIONS[broken].edits_beside(champion) if broken else {}
    reports = edited(reports, {**broken_by, **(edits or {})})
    about = subject(champion=champion, **changes)
    evidence = make_evidence(about, manifest_of(models), reports, policy, DAY)
    return {
        **models,
        "labels.json": b'["BR","SE"]\n',
        "profile.json": PROFILE,
        **{f"{report}.json": canonical_bytes(content) for report, content in reports.items()},
        "evidence.json": evidence.to_bytes(),
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


def put(store: ModelStore, name: str = "A", champion: str = "", **kwargs: Any) -> str:
    """Store a candidate as `candidate_files` makes it, compared with the model of a champion in the store."""
    if champion in store.candidates():
        kwargs = {"champion_model": store.read_candidate(champion)["model.onnx"], **kwargs}
    return store_run(store, candidate_files(name, champion, **kwargs))


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


def forge(files: dict[str, bytes], evidence: Any) -> dict[str, bytes]:
    """Return the files with other evidence, and the reports that it contains."""
    reports = {f"{name}.json": canonical_bytes(report) for name, report in evidence["reports"].items()}
    return {**files, **reports, "evidence.json": canonical_bytes(evidence)}


def entry(uri: str, number: int) -> Any:
    """Read an entry of the promotion log."""
    return json.loads(read(uri, f"promotions/{number:08}.json"))


def promotion_refused(
    store: ModelStore,
    candidate: str,
    error: type[Exception],
    message: str,
    policy: str = POLICY,
    **options: Any,
) -> None:
    """Check that a promotion fails with a message of one line, and changes nothing."""
    before = paths(store.uri)
    with pytest.raises(error, match=message) as caught:
        promote(store, candidate, policy, **options)
    assert "\n" not in str(caught.value)
    assert paths(store.uri) == before

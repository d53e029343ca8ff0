"""A store of an older jukebox: candidates of many files, and a log without a chain."""

from collections.abc import Mapping
from typing import Any

from candidates import candidate_files, overwrite

from ml.core.canonical import canonical_bytes, digest
from ml.release.log import path_of

LATER = {2: ("waived",), 3: ("commit", "dirty", "who", "why")}
"""Fields of an entry that earlier versions lack, by the version that has them."""


def old_candidate(uri: str, name: str = "A", champion: str = "") -> str:
    """Store a candidate of the first version; its id is the digest of all of its files."""
    files = candidate_files(name, champion)
    entries = {file: {"digest": digest(data), "size": len(data)} for file, data in files.items()}
    manifest = canonical_bytes({"schema": "jukebox.candidate/v1", "files": entries})
    candidate = digest(manifest).removeprefix("sha256:")
    for file, data in {**files, "manifest.json": manifest}.items():
        overwrite(uri, f"candidates/{candidate}/{file}", data)
    return candidate


def old_entry(uri: str, number: int, candidate: str, name: str = "A", version: int = 3) -> bytes:
    """Append an entry of an earlier version, and publish its model."""
    model = candidate_files(name)["model.onnx"]
    value: Mapping[str, Any] = {
        "schema": f"jukebox.promotion/v{version}",
        **{"number": number, "replaces": number - 1, "restores": 0, "action": "promote", "champion": ""},
        **{"candidate": candidate, "model_name": "jukebox", "synthetic": True, "at": "2026-01-01T00:00:00Z"},
        **{"model_digest": digest(model), "evidence_digest": digest(b""), "policy_digest": digest(b"")},
        **{"waived": [], "commit": "c0ffee", "dirty": False, "who": "ada@laptop", "why": ""},
    }
    lacking = {field for since, fields in LATER.items() if since > version for field in fields}
    data = canonical_bytes({field: held for field, held in value.items() if field not in lacking})
    overwrite(uri, path_of(number), data)
    overwrite(uri, f"serving/jukebox/{number}/model.onnx", model)
    return data


def old_store(uri: str, names: str = "AB") -> list[str]:
    """Make a store with a promotion of each of these models; return their candidates."""
    candidates: list[str] = []
    for number, name in enumerate(names, 1):
        candidates.append(old_candidate(uri, name, candidates[-1] if candidates else ""))
        old_entry(uri, number, candidates[-1], name)
    return candidates

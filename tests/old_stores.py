"""A store of an older jukebox: candidates of many files, and a log without a chain."""

from collections.abc import Mapping
from typing import Any

from candidates import candidate_files, overwrite

from ml.core.canonical import canonical_bytes, digest


def old_candidate(uri: str, name: str = "A", champion: str = "", **about: Any) -> str:
    """Store a candidate of the first version; its id is the digest of all of its files."""
    files = candidate_files(name, champion, **about)
    manifest = {
        "schema": "jukebox.candidate/v1",
        "files": {file: {"digest": digest(data), "size": len(data)} for file, data in files.items()},
    }
    candidate = digest(canonical_bytes(manifest)).removeprefix("sha256:")
    for file, data in {**files, "manifest.json": canonical_bytes(manifest)}.items():
        overwrite(uri, f"candidates/{candidate}/{file}", data)
    return candidate


def old_entry(uri: str, number: int, candidate: str, name: str, **changes: Any) -> Mapping[str, Any]:
    """Append an entry of the third version, and publish its model."""
    files = candidate_files(name)
    value = {
        "schema": "jukebox.promotion/v3",
        "number": number,
        "action": "promote",
        "candidate": candidate,
        "model_name": "jukebox",
        "synthetic": True,
        "model_digest": digest(files["model.onnx"]),
        "evidence_digest": digest(files["evidence.json"]),
        "policy_digest": digest(b"policy"),
        "champion": "",
        "replaces": number - 1,
        "restores": 0,
        "at": "2026-01-01T00:00:00Z",
        "waived": [],
        "commit": "c0ffee",
        "dirty": False,
        "who": "ada@laptop",
        "why": "",
        **changes,
    }
    overwrite(uri, f"promotions/{number:08}.json", canonical_bytes(value))
    overwrite(uri, f"serving/jukebox/{number}/model.onnx", files["model.onnx"])
    return value


def old_store(uri: str, names: str = "AB") -> list[str]:
    """Make a store with a promotion of each of these models; return their candidates."""
    candidates: list[str] = []
    for number, name in enumerate(names, 1):
        candidates.append(old_candidate(uri, name, candidates[-1] if candidates else ""))
        old_entry(uri, number, candidates[-1], name)
    return candidates

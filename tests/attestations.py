"""Attestations as the judge makes them, signed with a key of the test."""

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from reports import DATA_VERSION, DIGESTS, POLICY, SERVED, edited, judge, passing_reports

from ml.core.canonical import canonical_bytes, digest
from ml.gate.candidate import manifest_of
from ml.gate.evidence import policy_digest
from ml.gate.statement import Claimed, HoldoutRef, Measured, Statement, make_statement
from ml.release.signing import sign

AT = datetime.datetime(2026, 8, 1, 12, tzinfo=datetime.UTC)
BLOCKED_BY = "serving.memory_mb"
BLOCKING = {"serving.peak_memory_mb": 5000.0}
"""An edit of reports that pass, and the check that it fails."""

FILES = {"model.keras": b"weights", "model.onnx": b"graph", "served.json": canonical_bytes(SERVED)}
"""A small candidate."""


def trust_file(folder: Path, name: str = "a test") -> tuple[Path, Path]:
    """Make a signing key, and the trust file that holds its public part; return both."""
    folder.mkdir(parents=True, exist_ok=True)
    private = ec.generate_private_key(ec.SECP256R1())
    key, trust = folder / "signing.pem", folder / "trust.pem"
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    trust.write_bytes(f"# {name}\n".encode() + public)
    return key, trust


def make_attestation(files: Mapping[str, bytes] = FILES, *, key: Path, **about: Any) -> bytes:
    """Return the signed envelope around what `statement_about` makes."""
    return sign(statement_about(files, **about), key)


def statement_about(
    files: Mapping[str, bytes] = FILES,
    *,
    verdict_passes: bool = True,
    champion: str = "",
    policy_text: str = POLICY,
    at: datetime.datetime = AT,
    **changes: Any,
) -> Statement:
    """Return a statement about a candidate's files, made beside a champion ("" for none).

    If it does not pass, `BLOCKED_BY` blocks. ``changes`` are other fields of what was measured or is claimed.
    """
    manifest = manifest_of(files)
    digests = {**DIGESTS, **{name: entry.digest for name, entry in manifest.files.items()}}
    reports = passing_reports(digests, champion)
    if not verdict_passes:
        reports = edited(reports, BLOCKING)
    isolation = {"API server": "no route", "DNS": "no answer", "store": "no route"}
    measured = {"model": dict(manifest.files), "holdout": holdout_ref(), "isolation": isolation, "at": at}
    measured |= {"champion": champion, "champion_kind": "attested" if champion else ""}
    measured |= {
        "judge_image": "localhost/jukebox-judge@" + digest(b"judge"),
        "judge_code": digest(b"judge code"),
    }
    measured |= {"reports": reports, "verdict": judge(reports, policy_text)}
    measured |= {"policy_digest": policy_digest(policy_text)}
    commit, image = "01b945fae5ea18936b79d1d1ec0dd341b22d6aac", "localhost/jukebox@" + digest(b"image")
    claimed = {"run_id": "40564379", "commit": commit, "dirty": False, "data_version": DATA_VERSION}
    claimed |= {"image": image, "pipeline_digest": digest(b"pipeline")}
    claimed |= {"model_name": "jukebox", "model_version": "1"}
    measured |= {name: changes.pop(name) for name in measured if name in changes}
    return make_statement(Measured(**measured), Claimed(**{**claimed, **changes}))


def holdout_ref() -> HoldoutRef:
    """Return the sealed holdout that was measured on."""
    ledger = {"ledger": 3, "ledger_digest": digest(b"ledger"), "key_id": "key-1", "synthetic": False}
    made = {"source_version": "source-1", "definition": "songs/v1", "splitter": "recordings/v1"}
    return HoldoutRef(version=DATA_VERSION, **made, **ledger)

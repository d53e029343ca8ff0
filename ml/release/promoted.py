"""Promoted models: copies of candidates in a folder that runs cannot write.

The champion, rollback and serving are read from here. `jukebox store migrate` copies the candidates of an
older jukebox, which keep their ids and their manifests of many files.
"""

import re
import shlex
from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from ml.core.canonical import digest, parse
from ml.core.errors import EvidenceError
from ml.core.records import Record
from ml.gate.candidate import FileEntry, Manifest, manifest_of
from ml.release.candidates import ID, LARGEST_FILE, MANIFEST, read_content
from ml.release.objects import Objects

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
LARGEST_MANIFEST = 1 << 14
MOST_FILES = 32
RESTORE = "restore it from a backup of the store"


class OldManifest(Record):
    """The manifest of a candidate of an older jukebox: models, reports and evidence together."""

    version: Literal["jukebox.candidate/v1"] = Field(alias="schema")
    files: dict[str, FileEntry]

    @property
    def id(self) -> str:
        """The candidate's id: 64 hexadecimal digits."""
        return digest(self.to_bytes()).removeprefix("sha256:")


def migrate_command(uri: str) -> str:
    """Return the command that migrates a store, for messages."""
    return f"`{shlex.join(('jukebox', 'store', 'migrate', '--store', uri))}`"


def is_promoted(objects: Objects, candidate: str) -> bool:
    """Return whether a candidate was copied.

    Raises:
        PlatformError: the store cannot be read.
    """
    return objects.exists(f"promoted/{candidate}/{MANIFEST}")


def put_promoted(
    objects: Objects, candidate: str, files: Mapping[str, bytes], manifest: bytes, attestation: bytes | None
) -> None:
    """Copy a candidate and store its attestation with it; the manifest is written last.

    Raises:
        EvidenceError: other bytes are stored there.
        PlatformError: the store cannot be written.
    """
    for name, data in files.items():
        objects.put_same(f"promoted/{candidate}/{name}", data)
    if attestation is not None:
        name = digest(attestation).removeprefix("sha256:")
        objects.put_same(f"promoted/{candidate}/attestations/{name}.json", attestation)
    objects.put_same(f"promoted/{candidate}/{MANIFEST}", manifest)


def manifest_bytes(files: Mapping[str, bytes]) -> bytes:
    """Return the manifest of a candidate as it is stored."""
    return manifest_of(files).to_bytes()


def read_promoted(objects: Objects, candidate: str) -> dict[str, bytes]:
    """Return the files of a promoted model: checked against the manifest, which is checked against the id.

    Raises:
        EvidenceError: it is missing, or was changed.
        PlatformError: the store cannot be read.
    """
    return read_whole(objects, f"promoted/{candidate}", candidate)[0]


def read_whole(objects: Objects, folder: str, candidate: str) -> tuple[dict[str, bytes], bytes]:
    """Return the files and the manifest, of any version, of a candidate in a folder of the store.

    Raises:
        EvidenceError: it is missing, or was changed.
        PlatformError: the store cannot be read.
    """
    data = objects.get(f"{folder}/{MANIFEST}", LARGEST_MANIFEST) if ID.fullmatch(candidate) else None
    if data is None:
        raise EvidenceError(
            f"model {candidate} is not in {objects.uri}/{folder.partition('/')[0]}; "
            f"{migrate_command(objects.uri)} copies what an older jukebox has promoted"
        )
    try:
        manifest = _parsed(data)
    except (TypeError, ValueError) as error:
        raise EvidenceError(
            f"{objects.uri}/{folder}/{MANIFEST} cannot be used: {error}; {RESTORE}"
        ) from error
    if manifest.id != candidate or manifest.to_bytes() != data:
        raise EvidenceError(f"{objects.uri}/{folder}/{MANIFEST} was changed; {RESTORE}")
    return {
        name: read_content(objects, folder, name, min(entry.size, LARGEST_FILE), entry.digest, RESTORE)
        for name, entry in manifest.files.items()
    }, data


def _parsed(data: bytes) -> Manifest | OldManifest:
    """Return a manifest of either version."""
    value = parse(data)
    if not isinstance(value, dict) or value.get("schema") != "jukebox.candidate/v1":
        return Manifest.load(value)
    manifest = OldManifest.load(value)
    if len(manifest.files) > MOST_FILES or not all(NAME.fullmatch(name) for name in manifest.files):
        raise ValueError("its files cannot be stored")
    if "model.onnx" not in manifest.files:
        raise ValueError("it has no model.onnx")
    return manifest

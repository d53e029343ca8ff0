"""Candidates of a store: content-addressed files, and what runs report beside them.

Runs can write all of it: every byte that is used is checked against the candidate's id, sizes are checked
before anything is read, and what does not belong here is skipped and named.
"""

import re
from collections.abc import Mapping
from operator import itemgetter

from ml.core.canonical import digest, parse
from ml.core.errors import EvidenceError, PlatformError
from ml.gate.candidate import Manifest, manifest_of
from ml.release.objects import Objects

AGAIN = "run the pipeline again: it stores the candidate anew"
MANIFEST = "manifest.json"
MOST_LISTED = 100_000
"""Objects below candidates/ that are looked at."""

LARGEST_MANIFEST = 512
"""Bytes of the manifest of three files; that of an older candidate, which names ten, is longer."""

LARGEST_FILE = 1 << 29
"""Bytes of a file of a candidate."""

LARGEST_REPORT = 1 << 24
MOST_REPORTS = 200
"""Reports of one candidate that are read, and bytes of each."""

ID = re.compile("[0-9a-f]{64}")
MOST_REPORTED = 1 << 28
"""Bytes of all reports of a candidate that are read."""

RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
REPORT = re.compile(r"[a-z][a-z0-9_]{0,63}[.]json")


def put_candidate(
    objects: Objects, files: Mapping[str, bytes], run_id: str, reports: Mapping[str, bytes]
) -> str:
    """Store a candidate, with a run's reports beside it, and return its id; the manifest comes last.

    The same candidate from another run only gets more reports. Bytes that are not what the id stands for
    are replaced.

    Args:
        objects: of the store.
        files: as for `ml.gate.candidate.manifest_of`.
        run_id: whose reports they are.
        reports: by name, ``evidence.json`` among them.

    Raises:
        EvidenceError: the run has reported something else about this candidate before; or run or report
            have a name that cannot be stored.
        PlatformError: the store cannot be written.
    """
    manifest = manifest_of(files)
    strange = [name for name in reports if not REPORT.fullmatch(name)]
    if strange or not RUN.fullmatch(run_id):
        raise EvidenceError(f"reports of run {run_id!r} cannot be stored: {strange or 'not a name of a run'}")
    for file in manifest.files:
        _put_content(objects, f"candidates/{manifest.id}/{file}", files[file])
    for name, data in reports.items():
        objects.put_same(f"candidates/{manifest.id}/reports/{run_id}/{name}", data)
    _put_content(objects, f"candidates/{manifest.id}/{MANIFEST}", manifest.to_bytes())
    return manifest.id


def _put_content(objects: Objects, path: str, data: bytes) -> None:
    """Put bytes where the id says that just these belong."""
    if not objects.put(path, data) and not objects.holds(path, data):
        objects.put(path, data, mode="overwrite")


def read_candidate(objects: Objects, candidate: str, listed: str) -> dict[str, bytes]:
    """Return the files of a candidate, each checked against the manifest, and that against the id.

    Args:
        objects: of the store.
        candidate: its whole id.
        listed: how to see what is there, for messages.

    Raises:
        EvidenceError: there is no such candidate, or a byte of it has changed.
        PlatformError: the store cannot be read.
    """
    path = f"candidates/{candidate}/{MANIFEST}"
    data = objects.get(path, LARGEST_MANIFEST) if ID.fullmatch(candidate) else None
    if data is None:
        raise EvidenceError(f"there is no candidate {candidate} in {objects.uri}; {listed}")
    try:
        manifest = Manifest.load(parse(data))
    except (TypeError, ValueError) as error:
        raise EvidenceError(
            f"candidate {candidate}: its manifest cannot be used: {error}; {AGAIN}"
        ) from error
    if manifest.id != candidate or manifest.to_bytes() != data:
        raise EvidenceError(f"candidate {candidate}: its manifest was changed; {AGAIN}")
    sizes = {name: entry.size for name, entry in manifest.files.items()}
    if too_large := [name for name, size in sizes.items() if size > LARGEST_FILE]:
        raise EvidenceError(f"candidate {candidate}: {too_large[0]} has more than {LARGEST_FILE} bytes")
    return {
        name: read_content(objects, f"candidates/{candidate}", name, entry.size, entry.digest, AGAIN)
        for name, entry in manifest.files.items()
    }


def read_content(objects: Objects, folder: str, name: str, size: int, expected: str, remedy: str) -> bytes:
    """Return the bytes of a file that a manifest names.

    Raises:
        EvidenceError: they are not what the manifest says.
        PlatformError: the store cannot be read.
    """
    try:
        content = objects.get(f"{folder}/{name}", size)
    except EvidenceError:
        content = None
    if content is None or digest(content) != expected:
        raise EvidenceError(
            f"candidate {folder.rpartition('/')[2]}: {name} is missing or was changed in "
            f"{objects.uri}/{folder}; {remedy}"
        )
    return content


def read_reports(objects: Objects, candidate: str, run_id: str = "") -> dict[str, dict[str, bytes]]:
    """Return what runs have reported of a candidate, by run, that of the newest first.

    Reports are shown, never believed. What has a strange name, is too large or cannot be read is left out.

    Args:
        objects: of the store.
        candidate: its whole id.
        run_id: return the evidence of this run only, whatever else lies there; "" for the reports of all.

    Raises:
        PlatformError: the store cannot be listed.
    """
    folder = f"candidates/{candidate}/reports"
    if run_id:
        path = f"{folder}/{run_id}/evidence.json"
        data = objects.get(path, LARGEST_REPORT) if RUN.fullmatch(run_id) else None
        return {} if data is None else {run_id: {"evidence.json": data}}
    found = objects.listed(folder, MOST_LISTED).entries
    named = [entry for entry in found if len(entry["path"].split("/")) == 5]
    reports: dict[str, dict[str, bytes]] = {}
    read = 0
    for entry in sorted(named, key=itemgetter("last_modified"), reverse=True)[:MOST_REPORTS]:
        run, name = entry["path"].split("/")[3:]
        read += entry["size"]
        if not (RUN.fullmatch(run) and REPORT.fullmatch(name)) or read > MOST_REPORTED:
            continue
        try:
            data = objects.get(entry["path"], LARGEST_REPORT)
        except (EvidenceError, PlatformError):
            continue
        if data is not None:
            reports.setdefault(run, {})[name] = data
    return reports

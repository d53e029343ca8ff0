"""Candidates of a store: content-addressed files, and the reports of the runs that made them.

Runs can write these objects. So every file is checked against the candidate's id, the size of an object is
checked before it is read, and unknown objects are skipped and reported.
"""

import re
from collections.abc import Mapping
from operator import itemgetter

from ml.core.canonical import digest, parse
from ml.core.errors import EvidenceError, PlatformError
from ml.gate.candidate import Manifest, manifest_of
from ml.release.objects import Objects

AGAIN = "run the pipeline again, which stores the candidate"
MANIFEST = "manifest.json"
MOST_LISTED = 100_000
"""Objects below candidates/ that are listed."""

LARGEST_MANIFEST = 512
"""Bytes of a manifest of three files; those of older candidates have ten files, and are longer."""

LARGEST_FILE = 1 << 29
"""Bytes of a file of a candidate."""

LARGEST_REPORT = 1 << 24
MOST_REPORTS = 200
"""Reports of one candidate that are read, and the bytes of each."""

ID = re.compile("[0-9a-f]{64}")
MOST_REPORTED = 1 << 28
"""Bytes of all reports of a candidate together."""

RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
REPORT = re.compile(r"[a-z][a-z0-9_]{0,63}[.]json")


def put_candidate(
    objects: Objects, files: Mapping[str, bytes], run_id: str, reports: Mapping[str, bytes]
) -> str:
    """Store a candidate and the reports of its run, and return its id. The manifest is written last.

    If another run has stored the same candidate, only reports are added. Bytes that do not match the id are
    replaced.

    Args:
        objects: of the store.
        files: as for `ml.gate.candidate.manifest_of`.
        run_id: the run that made the reports.
        reports: by file name, with ``evidence.json``.

    Raises:
        EvidenceError: the run has stored other reports about this candidate before; or the name of the run
            or of a report cannot be stored.
        PlatformError: the store cannot be written.
    """
    manifest = manifest_of(files)
    strange = [name for name in reports if not REPORT.fullmatch(name)]
    if strange or not RUN.fullmatch(run_id):
        raise EvidenceError(
            f"reports of run {run_id!r} cannot be stored: {strange or 'the run has no valid name'}"
        )
    for file in manifest.files:
        _put_content(objects, f"candidates/{manifest.id}/{file}", files[file])
    for name, data in reports.items():
        objects.put_same(f"candidates/{manifest.id}/reports/{run_id}/{name}", data)
    _put_content(objects, f"candidates/{manifest.id}/{MANIFEST}", manifest.to_bytes())
    return manifest.id


def _put_content(objects: Objects, path: str, data: bytes) -> None:
    """Write a file of a candidate, over any other bytes: the candidate's id says which belong there."""
    if not objects.put(path, data) and not objects.holds(path, data):
        objects.put(path, data, mode="overwrite")


def read_candidate(objects: Objects, candidate: str, listed: str) -> dict[str, bytes]:
    """Return the files of a candidate: checked against the manifest, which is checked against the id.

    Args:
        objects: of the store.
        candidate: its full id.
        listed: the command that lists the store, for messages.

    Raises:
        EvidenceError: there is no such candidate, or it was changed.
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
    """Return the bytes of a file of a manifest.

    Raises:
        EvidenceError: the file is missing, or its digest is another.
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
    """Return the reports about a candidate by run, the newest run first.

    Reports are shown, but no decision relies on them. Reports with an invalid name, too large ones, and those
    that cannot be read are left out.

    Args:
        objects: of the store.
        candidate: its full id.
        run_id: return only the evidence of this run; "" returns the reports of all runs.

    Raises:
        PlatformError: the store cannot be listed.
    """
    folder = f"candidates/{candidate}/reports"
    if run_id:
        path = f"{folder}/{run_id}/evidence.json"
        data = objects.get(path, LARGEST_REPORT) if RUN.fullmatch(run_id) else None
        return {} if data is None else {run_id: {"evidence.json": data}}
    listed = objects.listed(folder, MOST_LISTED).entries
    named = [entry for entry in listed if len(entry["path"].split("/")) == 5]
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

"""The judge's work folder: what is asked, what was answered, what was measured, each one strict JSON record.

    asked.json      what is measured                                          written by download
    model/          the candidate's files                                     read by infer
    champion/       model.onnx, where there is a champion to compare with     read by infer
    features/       features.parquet: raw sealed features, no ids, no labels  read by infer
    labels/         the sealed holdout, and the champion's holdout profile    read by score
    answers/        answers.json and arrays                                   written by infer
    measured.json   the reports                                               written by score

In the cluster each part is mounted only where it is read or written.
"""

from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field

from ml.core.canonical import digest, parse
from ml.core.errors import EvidenceError
from ml.core.files import file_digest, require_plain
from ml.core.records import Digest, Record, Text
from ml.gate.candidate import CandidateId, FileEntry, FileName
from ml.gate.statement import Claimed, HoldoutRef, Kind

ASKED = "asked.json"
MEASURED = "measured.json"

LARGEST = 16 << 20
"""Bytes of a record: reports have some hundred thousand."""

AGAIN = "attest again from the start"

R = TypeVar("R", bound=Record)


class Asked(Record):
    """What is measured: the candidate, beside which champion, on which holdout.

    ``files`` are the digests of all other files that were downloaded, by their path in the work folder.
    ``store`` is host and port of the object store, "" where it is a folder: infer must not reach it.
    """

    schema_: Literal["jukebox.asked/v1"] = Field("jukebox.asked/v1", alias="schema")
    candidate: CandidateId
    model: dict[FileName, FileEntry]
    champion: CandidateId | Literal[""]
    champion_kind: Kind
    holdout: HoldoutRef
    claimed: Claimed
    files: dict[Text, Digest]
    store: str

    @property
    def is_compared(self) -> bool:
        """Whether the candidate is compared with the champion.

        One that nobody attested may have been trained on the sealed examples, and is not comparable.
        """
        return self.champion_kind == "attested"


class Measurement(Record):
    """What score measured: the reports by subject. ``asked`` is the digest of ``asked.json``."""

    schema_: Literal["jukebox.measured/v1"] = Field("jukebox.measured/v1", alias="schema")
    asked: Digest
    isolation: dict[Text, Text]
    reports: dict[str, Any]

    def require_about(self, asked: str, work: Path) -> None:
        """Make sure that this was measured for what is asked.

        Raises:
            EvidenceError: it was not.
        """
        if self.asked != asked:
            raise EvidenceError(f"{work / MEASURED} is about another candidate or holdout; {AGAIN}")


def read_asked(work: Path, expected: str = "") -> tuple[Asked, str]:
    """Return what is asked, and the digest of ``asked.json``.

    Args:
        work: the work folder.
        expected: the digest that it must have; "" for any.

    Raises:
        EvidenceError: as `read_record`.
    """
    return read_record(work, ASKED, Asked, expected)


def read_record(work: Path, name: str, kind: type[R], expected: str = "") -> tuple[R, str]:
    """Return a record of the work folder, and the digest of its file.

    Raises:
        EvidenceError: it is missing, too large, malformed, or has another digest than expected.
    """
    path = work / name
    try:
        require_plain(path)
        if path.stat().st_size > LARGEST:
            raise ValueError(f"it has more than {LARGEST:,} bytes")
        data = path.read_bytes()
        actual = digest(data)
        if expected and actual != expected:
            raise ValueError(f"its digest is {actual}, not {expected}")
        return kind.load(parse(data)), actual
    except OSError as error:
        raise EvidenceError(f"{path}: {error.strerror}; {AGAIN}") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise EvidenceError(f"{path}: {error}; {AGAIN}") from error


def require_files(work: Path, asked: Asked, *folders: str) -> None:
    """Make sure that the files of some folders are those that were downloaded.

    Raises:
        EvidenceError: one is missing or was changed.
    """
    expected = {f"model/{name}": entry.digest for name, entry in asked.model.items()} | asked.files
    for name, wanted in expected.items():
        if name.partition("/")[0] not in folders:
            continue
        path = work / name
        if not path.is_file() or file_digest(path) != wanted:
            raise EvidenceError(f"{path} is missing or was changed after the download; {AGAIN}")

"""Verify an attestation for an auditor: with the model's bytes and a trust root, and without a cluster.

Nothing is believed because of where it lies. The signature must be by a trusted key, and the statement about
the bytes that are here. Whether the attestation is recent, or the champion in it current, is for promotion.
"""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import obstore
from obstore.store import ObjectStore

from ml.errors import EvidenceError, PlatformError, UsageError
from ml.gate.candidate import CANDIDATE_FILES, FileEntry, FileName
from ml.gate.canonical import digest
from ml.gate.reports.evaluation import Evaluation
from ml.gate.statement import Statement
from ml.objects import ObjectError, open_folder
from ml.release.signing import LARGEST_ENVELOPE, Signed, Trust, open_envelope
from ml.s3 import explain

ATTESTATION = "attestation.json"
"""The attestation's name where it lies beside a model; a store has a folder of them."""

MOST_ATTESTATIONS = 100
"""So many attestations of one model are read."""

SHORTEST = 8
"""Characters of a candidate's id that name it."""

PLACES = ("promoted", "candidates")
"""Where a store has a candidate's files; what is promoted comes first, because no run writes there."""


@dataclass(frozen=True)
class Model:
    """The bytes to verify: a folder or prefix, and where each of the candidate's files is in it.

    ``where`` is how messages name it.
    """

    where: str
    objects: ObjectStore
    prefix: str
    files: dict[FileName, str]


@dataclass(frozen=True)
class Verified:
    """A valid attestation about a model.

    ``checked`` are the candidate's files that were compared, ``name`` and ``digest`` those of the
    attestation, and ``passed_over`` says of each other attestation that was looked at why it was not taken.
    """

    where: str
    signed: Signed
    name: str
    digest: str
    checked: tuple[FileName, ...]
    passed_over: tuple[str, ...]

    @property
    def statement(self) -> Statement:
        """The statement of the attestation."""
        return self.signed.statement

    @property
    def unchecked(self) -> tuple[FileName, ...]:
        """The files that the attestation is about and that are not here."""
        return tuple(name for name in CANDIDATE_FILES if name not in self.checked)

    def age(self, now: datetime.datetime) -> datetime.timedelta:
        """How long ago the model was measured."""
        return now - self.statement.predicate.measured.at


def find_model(named: str, store: str) -> Model:
    """Return the model that a user named.

    Args:
        named: a folder with a model, a file that is one, or the beginning of a candidate's id.
        store: the URI of the model store, for an id.

    Raises:
        UsageError: there is no such file, folder or store, or no model in it.
        EvidenceError: none or several candidates of the store have such an id.
        PlatformError: the store cannot be read.
    """
    path = Path(named)
    if path.is_file():
        (name,) = [name for name in CANDIDATE_FILES if name == path.name] or ["model.onnx"]
        return Model(str(path), open_folder(str(path.parent)), "", {name: path.name})
    if path.is_dir():
        objects = open_folder(str(path))
        files: dict[FileName, str] = {name: name for name in CANDIDATE_FILES if (path / name).is_file()}
        if "model.onnx" not in files:
            raise UsageError(f"{path} has no model.onnx; name the folder that holds a model")
        return Model(str(path), objects, "", files)
    if len(named) < SHORTEST or not set(named) <= set("0123456789abcdef"):
        raise UsageError(
            f"{named!r} is no file, no folder, and no candidate's id of {SHORTEST} characters or more"
        )
    return _candidate(named, store)


def verify(model: Model, trust: Trust, attestation: Path | None = None) -> Verified:
    """Return the newest attestation about a model that a trusted key has signed.

    Args:
        model: as `find_model` returns it.
        trust: whose signatures count.
        attestation: the file to take; None for `attestation.json` beside the model and all files below
            ``attestations/``.

    Raises:
        UsageError: the attestation's file cannot be read.
        EvidenceError: there is no attestation, none is signed by a trusted key, or the bytes are others.
        PlatformError: the store cannot be read.
    """
    opened: list[tuple[str, bytes, Signed]] = []
    refused: list[str] = []
    for name, envelope in _given(attestation) if attestation else _beside(model):
        try:
            opened.append((name, envelope, open_envelope(envelope, trust)))
        except EvidenceError as error:
            refused.append(f"{name}: {error}")
    opened.sort(key=lambda one: one[2].statement.predicate.measured.at, reverse=True)
    for index, (name, envelope, signed) in enumerate(opened):
        try:
            _compare(model, signed.statement)
        except EvidenceError as error:
            refused.append(f"{name}: {error}")
            continue
        older = [f"{other}: it is older" for other, _, _ in opened[index + 1 :]]
        checked = tuple(model.files)
        return Verified(model.where, signed, name, digest(envelope), checked, (*older, *refused))
    if not refused:
        raise EvidenceError(f"{model.where} has no attestation; name one with --attestation")
    more = f" (and {len(refused) - 1} more attestations are refused)" if len(refused) > 1 else ""
    raise EvidenceError(f"{refused[0]}{more}")


def headline(statement: Statement) -> list[str]:
    """Return the numbers of a statement that say most, with their intervals, a line for each.

    Empty where its evaluation is of a version that is not known here: the statement has all of it.
    """
    try:
        report = Evaluation.load(statement.predicate.measured.reports.get("evaluation"))
    except (TypeError, ValueError):
        return []
    shown = {
        "log loss (nats)": report.model.log_loss,
        "gain over the prior (nats)": report.gain_over_prior,
        "top 5 mass": report.model.top5_mass,
        "hit at 5": report.model.hit_at_5,
    }
    return [
        f"{report.songs:,} sealed songs, {report.rows:,} chart rows of them",
        *(f"{name} {each.value:.4f} [{each.low:.4f}, {each.high:.4f}]" for name, each in shown.items()),
    ]


def _candidate(beginning: str, store: str) -> Model:
    """Return the files of the one candidate in a store whose id begins so."""
    store = store.rstrip("/")
    objects = open_folder(store)
    for place in PLACES:
        ids = [folder.rpartition("/")[2] for folder in _folders(objects, place, store)]
        found = [candidate for candidate in ids if candidate.startswith(beginning)]
        if len(found) > 1:
            raise EvidenceError(
                f"{len(found)} candidates in {store}/{place} start with {beginning}; give more of it"
            )
        if found:
            prefix = f"{place}/{found[0]}/"
            return Model(f"{store}/{prefix[:-1]}", objects, prefix, {name: name for name in CANDIDATE_FILES})
    raise EvidenceError(f"no candidate in {store} starts with {beginning}; is it the right --store?")


def _folders(objects: ObjectStore, prefix: str, store: str) -> list[str]:
    try:
        return list(obstore.list_with_delimiter(objects, prefix)["common_prefixes"])
    except (ObjectError, OSError) as error:
        raise PlatformError(f"cannot list {store}/{prefix}: {explain(error)}") from error


def _given(path: Path) -> Iterator[tuple[str, bytes]]:
    """Return the attestation in a file."""
    try:
        with path.open("rb") as file:
            yield str(path), file.read(LARGEST_ENVELOPE + 1)
    except OSError as error:
        raise UsageError(f"--attestation {path}: {error.strerror}") from error


def _beside(model: Model) -> Iterator[tuple[str, bytes]]:
    """Return the attestations beside a model and below ``attestations/``."""
    folder = f"{model.prefix}attestations"
    try:
        pages = obstore.list(model.objects, folder)
        names = sorted(entry["path"] for page in pages for entry in page)
    except (ObjectError, OSError) as error:
        raise PlatformError(f"cannot list {model.where}/attestations: {explain(error)}") from error
    names = [name for name in names if name.endswith(".json")]
    for name in [f"{model.prefix}{ATTESTATION}", *names[:MOST_ATTESTATIONS]]:
        envelope = _read(model, name, LARGEST_ENVELOPE)
        if envelope is not None:
            yield name.removeprefix(model.prefix), envelope


def _compare(model: Model, statement: Statement) -> None:
    """Compare the files that are here with those that a statement is about.

    Raises:
        EvidenceError: one is missing, or was changed.
    """
    measured = statement.predicate.measured.model
    for name, path in model.files.items():
        data = _read(model, f"{model.prefix}{path}", measured[name].size)
        if data is None:
            raise EvidenceError(f"{path} is missing in {model.where}; take the whole model")
        if FileEntry.of(data) != measured[name]:
            raise EvidenceError(
                f"{path} in {model.where} is not the {name} that was measured; take the model as it was "
                "promoted, or its own attestation"
            )


def _read(model: Model, path: str, most: int) -> bytes | None:
    """Read an object; of one that is larger than it may be, no more than its first bytes."""
    try:
        found = obstore.get(model.objects, path)
        if found.meta["size"] > most:
            return bytes(obstore.get_range(model.objects, path, start=0, length=most + 1))
        return bytes(found.bytes())
    except FileNotFoundError:
        return None
    except (ObjectError, OSError) as error:
        raise PlatformError(f"cannot read {model.where}/{path}: {explain(error)}") from error

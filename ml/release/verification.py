"""Verify an attestation for an auditor, from the model's bytes and a trust root, without a cluster.

The place of a file proves nothing: a trusted key must have signed the statement, and the statement must be
about the bytes at hand. Promotion checks, in addition, that the attestation is recent and its champion
current.
"""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ml.core.canonical import digest
from ml.core.errors import EvidenceError, UsageError
from ml.gate.candidate import FileEntry, FileName
from ml.gate.statement import Statement
from ml.gate.subjects.data import DataReport
from ml.gate.subjects.evaluation import Evaluation
from ml.release.model_files import Model
from ml.release.signing import LARGEST_ENVELOPE, Signed, open_envelope
from ml.release.trust import Trust

ATTESTATION = "attestation.json"
"""The name of an attestation beside a model; a store has a folder of attestations instead."""

MOST_ATTESTATIONS = 100
"""Attestations of one model that are read."""


@dataclass(frozen=True)
class Verified:
    """A valid attestation about a model.

    ``checked`` are the files that were compared. ``name`` and ``digest`` are those of the attestation.
    ``passed_over`` says for each other attestation why it was not used.
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
        """The files of the attestation that were not at hand."""
        return tuple(name for name in self.statement.predicate.measured.model if name not in self.checked)

    def age(self, now: datetime.datetime) -> datetime.timedelta:
        """Return how long ago the model was measured."""
        return now - self.statement.predicate.measured.at


def verify(model: Model, trust: Trust, attestation: Path | None = None) -> Verified:
    """Return the newest valid attestation about a model.

    Args:
        model: the result of `find_model`.
        trust: who may sign.
        attestation: its file; None for `attestation.json` beside the model and all files below
            ``attestations/``.

    Raises:
        UsageError: the attestation's file cannot be read.
        EvidenceError: there is no attestation, or none is signed by a trusted key and about these bytes.
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
        measured = signed.statement.predicate.measured.model
        checked = tuple(name for name in model.files if name in measured)
        return Verified(model.where, signed, name, digest(envelope), checked, (*older, *refused))
    if not refused:
        raise EvidenceError(f"{model.where} has no attestation; name one with --attestation")
    more = f" (and {len(refused) - 1} more attestations are refused)" if len(refused) > 1 else ""
    raise EvidenceError(f"{refused[0]}{more}")


def headline(statement: Statement) -> list[str]:
    """Return the main numbers of a statement with their intervals, one line each.

    Empty if its evaluation has an unknown version.
    """
    reports = statement.predicate.measured.reports
    try:
        report = Evaluation.load(reports.get("evaluation"))
        nouns = DataReport.load(reports.get("data_report")).nouns
    except (TypeError, ValueError):
        return []
    shown = {
        "log loss (nats)": report.model.log_loss,
        "gain over the prior (nats)": report.gain_over_prior,
        "top 5 mass": report.model.top5_mass,
        "hit at 5": report.model.hit_at_5,
    }
    return [
        f"{report.examples:,} sealed {nouns.examples}, {report.rows:,} {nouns.rows} of them",
        *(f"{name} {each.value:.4f} [{each.low:.4f}, {each.high:.4f}]" for name, each in shown.items()),
    ]


def _given(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the attestation in a file."""
    try:
        with path.open("rb") as file:
            yield str(path), file.read(LARGEST_ENVELOPE + 1)
    except OSError as error:
        raise UsageError(f"--attestation {path}: {error.strerror}") from error


def _beside(model: Model) -> Iterator[tuple[str, bytes]]:
    """Yield the attestations beside a model and below ``attestations/``."""
    names = [name for name in model.below("attestations") if name.endswith(".json")]
    for name in [ATTESTATION, *names[:MOST_ATTESTATIONS]]:
        envelope = model.read(name, LARGEST_ENVELOPE)
        if envelope is not None:
            yield name, envelope


def _compare(model: Model, statement: Statement) -> None:
    """Compare the files at hand with those of a statement.

    Raises:
        EvidenceError: a file is missing, or differs.
    """
    measured = statement.predicate.measured.model
    for name, path in model.files.items():
        entry = measured.get(name)
        data = model.read(path, entry.size if entry else 0)
        if entry is None and data is None:
            continue
        if entry is None:
            raise EvidenceError(f"{path} in {model.where} is not covered by the attestation; remove it")
        if data is None:
            raise EvidenceError(f"{path} is missing in {model.where}; take the whole model")
        if FileEntry.of(data) != entry:
            raise EvidenceError(
                f"{path} in {model.where} is not the {name} that was measured; take the model as it was "
                "promoted, or its own attestation"
            )

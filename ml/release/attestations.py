"""Read the attestation of a promotion, which is stored with the promoted model."""

from ml.core.canonical import digest
from ml.core.errors import EvidenceError
from ml.gate.statement import Statement, read_statement
from ml.release.log import Promotion
from ml.release.signing import LARGEST_ENVELOPE, payload_of
from ml.release.store import ModelStore


def statement_of(store: ModelStore, entry: Promotion) -> Statement:
    """Return the statement of the attestation that an entry of the log names.

    The entry has the digest of the envelope, whose signature was verified when the entry was made.

    Raises:
        EvidenceError: it is missing or was changed.
        PlatformError: the store cannot be read.
    """
    name = entry.attestation.removeprefix("sha256:")
    path = f"promoted/{entry.candidate}/attestations/{name}.json"
    data = store.objects.get(path, LARGEST_ENVELOPE)
    if data is None or digest(data) != entry.attestation:
        raise EvidenceError(f"{store.uri}/{path} is missing or was changed; restore it from a backup")
    try:
        return read_statement(payload_of(data))
    except (TypeError, ValueError) as error:
        raise EvidenceError(f"{store.uri}/{path}: {error}; restore it from a backup") from error

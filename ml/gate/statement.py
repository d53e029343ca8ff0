"""The attestation's statement: what the trusted side measured about a candidate, and what the run claims.

An in-toto Statement v1 (https://in-toto.io/Statement/v1) with a predicate type of our own. Its subjects are
the candidate's files; it is signed as a DSSE envelope (`ml.release.signing`). It holds aggregate numbers
only: no row of the sealed holdout and no number about one example.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from ml.core.records import Count, Digest, Record, Text
from ml.gate.candidate import REQUIRED, CandidateId, FileEntry, FileName, Manifest
from ml.gate.verdict import Verdict

STATEMENT_TYPE: Literal["https://in-toto.io/Statement/v1"] = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Literal["urn:jukebox:attestation:v1"] = "urn:jukebox:attestation:v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
"""The payload type of the DSSE envelope around a statement."""

DataVersion = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Kind = Literal["", "attested", "self-checked"]


class HoldoutRef(Record):
    """The sealed holdout that was measured on: see `ml.data.manifests.Holdout`."""

    version: DataVersion
    source_version: Text
    definition: Text
    splitter: Text
    ledger: Count
    ledger_digest: Digest
    key_id: Text
    synthetic: bool


class Measured(Record):
    """What the judge measured.

    ``champion`` is the model in production when the attestation ran ("": none), and ``champion_kind`` how it
    got there. ``judge_code`` is the digest of the judge's own package (`ml.core.version.code_digest`).
    ``reports`` are the aggregate numbers by subject, as `ml.gate.verdict.decide` takes them. ``isolation``
    says for each place that *infer* tried to reach what came of it.
    """

    model: dict[FileName, FileEntry]
    holdout: HoldoutRef
    champion: CandidateId | Literal[""]
    champion_kind: Kind
    policy_digest: Digest
    judge_image: Text
    judge_code: Digest
    isolation: dict[Text, Text]
    at: AwareDatetime
    reports: dict[str, Any]
    verdict: Verdict


class Claimed(Record):
    """What the run says about itself; nobody has checked it."""

    run_id: str
    commit: str
    dirty: bool
    image: str
    pipeline_digest: str
    data_version: str
    model_name: Text
    model_version: Text


class Predicate(Record):
    """What is attested: what was measured, and what is only claimed."""

    measured: Measured
    claimed: Claimed


class Sha256(Record):
    """A digest as in-toto writes it."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Subject(Record):
    """One artifact that a statement is about."""

    name: Text
    digest: Sha256


class Statement(Record):
    """The signed document. Its subjects are the candidate's files, no more and no fewer."""

    type_: Literal["https://in-toto.io/Statement/v1"] = Field(STATEMENT_TYPE, alias="_type")
    subject: tuple[Subject, ...]
    predicate_type: Literal["urn:jukebox:attestation:v1"] = Field(PREDICATE_TYPE, alias="predicateType")
    predicate: Predicate

    @model_validator(mode="after")
    def _same_files(self) -> Self:
        stated = {one.name: f"sha256:{one.digest.sha256}" for one in self.subject}
        measured = {name: entry.digest for name, entry in self.predicate.measured.model.items()}
        if stated != measured or len(self.subject) != len(measured) or not set(stated) >= REQUIRED:
            raise ValueError("the subjects are not the files that were measured")
        return self

    @property
    def candidate(self) -> str:
        """The id of the candidate that the statement is about."""
        return Manifest(files=dict(self.predicate.measured.model)).id


def make_statement(measured: Measured, claimed: Claimed) -> Statement:
    """Make the statement about a candidate from what was measured and what is claimed."""
    subjects = tuple(
        Subject(name=name, digest=Sha256(sha256=entry.digest.removeprefix("sha256:")))
        for name, entry in sorted(measured.model.items())
    )
    return Statement(subject=subjects, predicate=Predicate(measured=measured, claimed=claimed))


def read_statement(data: bytes) -> Statement:
    """Read a statement from its canonical bytes.

    Raises:
        ValueError: the bytes are not a statement of ours, or not in their canonical form.
    """
    return Statement.from_bytes(data, "a statement")

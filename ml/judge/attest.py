"""Attest a candidate: download, infer, score, decide, sign. The whole of it here, or a step at a time.

What is signed says what the trusted side measured, and what the run only claims. A candidate that the policy
blocks is attested too: its statement says that it does not pass, and nothing promotes it.
"""

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ml.core.canonical import digest
from ml.core.version import code_digest
from ml.gate.evidence import policy_digest
from ml.gate.statement import Claimed, Measured, Statement, make_statement
from ml.gate.verdict import Verdict, decide
from ml.judge.work import MEASURED, Asked, Measurement, read_asked, read_record

Signer = Callable[[Statement], bytes]
"""Returns the envelope around a statement: `ml.release.signing.sign` with a key."""


@dataclass(frozen=True)
class Attested:
    """A statement, the signed envelope around it, and the envelope's digest."""

    statement: Statement
    envelope: bytes

    @property
    def digest(self) -> str:
        """The digest of the envelope: its name in the store."""
        return digest(self.envelope)

    @property
    def verdict(self) -> Verdict:
        """What was decided."""
        return self.statement.predicate.measured.verdict


@dataclass(frozen=True)
class Places:
    """Where candidates and promoted models are, and the sealed holdouts: a folder or s3://bucket/prefix."""

    store: str
    holdout: str


def attest(
    work: Path,
    places: Places,
    candidate: str,
    version: str,
    policy_text: str,
    judge_image: str,
    signer: Signer,
    claimed: Claimed | None = None,
    run: str = "",
    say: Callable[[str], None] = lambda _: None,
) -> Attested:
    """Measure a candidate on a sealed holdout, and return the signed statement about it.

    Args:
        work: an empty folder, which is the caller's to remove: it holds the sealed examples.
        places: store and holdouts.
        candidate: the candidate's id, or the beginning of it.
        version: the data version to measure on.
        policy_text: the platform's policy.
        judge_image: what this runs in, by digest.
        signer: signs the statement.
        claimed: what the run says of itself; None takes it from the report beside the candidate.
        run: whose report; "" for the newest.
        say: takes a line about what each step has done.

    Raises:
        JukeboxError: what the steps raise; nothing is signed.
    """
    from ml.judge.confine import infer_confined
    from ml.judge.download import download
    from ml.judge.score import score

    asked = download(work, places.store, places.holdout, candidate, version, claimed, run)
    say(f"candidate {asked.candidate[:12]}, holdout {version}, {beside(asked)}")
    infer_confined(work)
    say(score(work))
    return sign(work, policy_text, judge_image, signer)


def sign(
    work: Path,
    policy_text: str,
    judge_image: str,
    signer: Signer,
    asked_digest: str = "",
    measured_digest: str = "",
) -> Attested:
    """Decide by the policy on what was measured, and return the signed statement.

    Args:
        work: the work folder; of it ``asked.json`` and ``measured.json`` are read.
        policy_text: the platform's policy.
        judge_image: what this runs in, by digest.
        signer: signs the statement.
        asked_digest: the digest that ``asked.json`` must have; "" for any.
        measured_digest: the digest that ``measured.json`` must have; "" for any.

    Raises:
        EvidenceError: a file is missing, or not the one that was handed over.
    """
    asked, scored = read_asked(work, asked_digest)
    measurement, _ = read_record(work, MEASURED, Measurement, measured_digest)
    measurement.require_about(scored, work)
    at = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    measured = Measured(
        model=asked.model,
        holdout=asked.holdout,
        champion=asked.champion,
        champion_kind=asked.champion_kind,
        policy_digest=policy_digest(policy_text),
        judge_image=judge_image,
        judge_code=code_digest(),
        isolation=measurement.isolation,
        at=at,
        reports=measurement.reports,
        verdict=decide(measurement.reports, policy_text, at.date()),
    )
    statement = make_statement(measured, asked.claimed)
    return Attested(statement, signer(statement))


def beside(asked: Asked) -> str:
    """Say which champion the candidate is compared with, or why it is with none."""
    if not asked.champion:
        return "no champion: absolute checks only"
    short = asked.champion[:12]
    if not asked.is_compared:
        return f"champion {short} is self-checked, so not comparable: absolute checks only"
    return f"beside champion {short}"

"""Promotion on the report of the candidate's own run, where the policy allows that.

On a laptop, one person is both sides. In a bucket, a run could write any report.
"""

from collections.abc import Mapping
from urllib.parse import urlparse

from ml.core.canonical import digest
from ml.core.clock import today
from ml.core.errors import EvidenceError, UsageError
from ml.gate.evidence import decide_again, read_evidence
from ml.gate.policy import Policy
from ml.release.basis import Basis, Production, require_pass


def self_checked(
    candidate: str,
    reports: Mapping[str, Mapping[str, bytes]],
    policy_text: str,
    production: Production,
) -> Basis:
    """Return the basis of a promotion on the report of the newest run, decided again under the policy.

    Args:
        candidate: the id of the candidate to promote.
        reports: as `ModelStore.read_reports` returns them.
        policy_text: the policy that decides.
        production: the model in production now.

    Raises:
        EvidenceError: there is no report, or it is about another candidate or champion.
        GateBlocked: its numbers do not pass the policy.
    """
    run = next((run for run, files in reports.items() if "evidence.json" in files), "")
    if not run:
        raise EvidenceError(f"candidate {candidate[:12]}: no run has stored evidence about it")
    what = f"candidate {candidate[:12]}, as run {run} reports it"
    others = [other for other in reports if other != run]
    remedy = f"; --run selects another report: {', '.join(others)}" if others else ""
    try:
        evidence = read_evidence(reports[run]["evidence.json"])
    except ValueError as error:
        raise EvidenceError(f"{what}: {error}{remedy}") from error
    if evidence.candidate != candidate:
        raise EvidenceError(f"{what}: it is about candidate {evidence.candidate[:12]}{remedy}")
    verdict = decide_again(evidence, policy_text, today())
    require_pass(what, verdict)
    if evidence.subject.champion != production.champion:
        raise EvidenceError(
            f"{what} was made when {evidence.subject.champion[:12] or 'nothing'} was in production; now it "
            f"is {production.champion[:12] or 'nothing'}: run the pipeline again{remedy}"
        )
    return Basis(
        kind="self-checked",
        attestation="",
        evidence_digest=digest(reports[run]["evidence.json"]),
        model_name=evidence.subject.model_name,
        synthetic=evidence.reports["data_report"]["synthetic"],
        waived=tuple(check.name for check in verdict.waived),
        commit=evidence.subject.commit,
        dirty=evidence.subject.dirty,
    )


def require_self_checked_allowed(store_uri: str, policy: Policy) -> None:
    """Check that a store accepts models on the report of their own run.

    Args:
        store_uri: the store.
        policy: the policy that decides.

    Raises:
        UsageError: it does not.
    """
    allowed = policy.promotion.self_checked
    is_folder = urlparse(store_uri).scheme in ("", "file")
    if allowed == "always" or (allowed == "folder" and is_folder):
        return
    raise UsageError(
        f"{store_uri} takes attested models only (promotion.self_checked: {allowed}): promote with "
        "--attestation and --trust; to try it out, name a folder with --store"
    )

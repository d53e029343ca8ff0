"""The outcome of a run, decided by its state and its evidence.

A pass needs both: the state SUCCEEDED, and evidence bound to this run that passes our policy, for a candidate
that is in the store byte for byte. If state and evidence disagree, the run is blocked as inconsistent.
"""

import functools
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from ml.core.errors import EvidenceError, GateBlocked, PlatformError, RunFailed
from ml.dspa.answers import Run
from ml.dspa.cluster import failure_reason
from ml.dspa.follow import failed_tasks
from ml.dspa.pods import Cause, in_a_line
from ml.dspa.session import Session
from ml.dspa.step_logs import kept_logs
from ml.dspa.submission import subject_of
from ml.dspa.timeouts import Deadline
from ml.gate.statement import Claimed
from ml.gate.verdict import Verdict
from ml.release.judgement import judge, prove
from ml.release.store import ModelStore
from ml.storage.objects import get_object

T = TypeVar("T")
MOST = 16 << 20
"""Most bytes of an evidence file; a typical one has about twenty thousand."""


class RunOutcome(BaseModel):
    """What is known of a run that has ended; a value that could not be determined is an empty string.

    ``claimed`` is what an attestation lists as the run's own claims, if this command submitted the run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    run_id: str
    run: str
    state: str
    link: str
    evidence: str
    evidence_digest: str = ""
    verdict: Verdict | None = None
    candidate: str = ""
    model_uri: str = ""
    model_digest: str = ""
    commit: str = ""
    dirty: bool = False
    claimed: Claimed | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON, with the checks of the verdict."""
        checks = [check.to_json() for check in self.verdict.checks] if self.verdict else []
        passed = bool(self.candidate)
        return {**self.model_dump(exclude={"verdict"}), "checks": checks, "passed": passed}


def conclude(session: Session, run: Run, parameters: Mapping[str, Any], policy_text: str) -> RunOutcome:
    """Return the outcome of a run that passed, and raise for every other outcome.

    Args:
        session: the DSPA.
        run: its last state.
        parameters: what it was submitted with; the evidence must agree with them.
        policy_text: our policy.

    Raises:
        GateBlocked: the evidence blocks, or state and evidence disagree.
        RunFailed: the run was cancelled or skipped, or failed before the gate decided.
        EvidenceError: the evidence or the candidate is missing, changed, or not this run's.
        PlatformError: the evidence or the store cannot be read.
    """
    expected = subject_of(run.run_id, parameters)
    where = str(parameters["evidence_uri"]).replace("{run_id}", run.run_id)
    outcome = RunOutcome(
        run_id=run.run_id,
        run=run.display_name,
        state=run.state,
        link=session.link(run),
        evidence=where,
        commit=expected["commit"],
        dirty=expected["dirty"],
    )
    if run.state not in ("SUCCEEDED", "FAILED") or (run.state == "FAILED" and run.cancelled):
        how = {"SKIPPED": "skipped: nothing was measured"}.get(run.state, "cancelled")
        raise RunFailed(f"run {run.run_id} was {how}", outcome.to_json())
    data = _evidence(session, where, run.state)
    if data is None:
        if run.state == "FAILED":
            why, causes = _why(session, run)
            details = outcome.model_copy(update={"evidence": ""}).to_json() | causes
            raise RunFailed(f"run {run.run_id} failed before it wrote evidence: {why}", details)
        raise EvidenceError(
            f"run {run.run_id} succeeded, but there is no evidence at {where}", outcome.to_json()
        )
    try:
        judgement = judge(data, where, expected, policy_text)
    except EvidenceError as error:
        raise EvidenceError(str(error), outcome.to_json()) from error
    verdict = judgement.verdict
    outcome = outcome.model_copy(update={"evidence_digest": judgement.digest, "verdict": verdict})
    if run.state == "SUCCEEDED" and not verdict.passed:
        names = ", ".join(check.name for check in verdict.failures)
        disagree = f"run {run.run_id} is SUCCEEDED, but its evidence does not pass ({names})"
        raise GateBlocked(f"blocked as inconsistent: {disagree}", outcome.to_json())
    if run.state == "FAILED" and verdict.passed:
        why, causes = _why(session, run)
        disagree = f"the evidence of run {run.run_id} passes, but a step after the gate failed: {why}"
        raise GateBlocked(f"blocked as inconsistent: {disagree}", outcome.to_json() | causes)
    if not verdict.passed:
        names = ", ".join(check.name for check in verdict.failures)
        raise GateBlocked(f"the gate blocked the model ({names})", outcome.to_json())
    uri = str(parameters["store_uri"])
    try:
        proven = session.in_time(lambda: prove(ModelStore(uri), judgement.evidence), uri)
    except (EvidenceError, PlatformError) as error:
        raise type(error)(str(error), outcome.to_json()) from error
    session.deadline.check(f"run {run.run_id} has ended, but after the deadline")
    return outcome.model_copy(
        update={
            "candidate": proven.candidate,
            "model_uri": proven.model_uri,
            "model_digest": proven.model_digest,
        }
    )


def _why(session: Session, run: Run) -> tuple[str, dict[str, Any]]:
    """Return why a run failed: the cause of each step, else the failed tasks and the command that shows more.

    Returns:
        the line for a person, and ``causes`` for a program.
    """
    causes, instead = session.watch.why(run.run_id)
    if not causes:
        # Read the run again: the list of tasks lags behind its state.
        failed = failed_tasks(session.ask(functools.partial(session.client.run, run.run_id)))
        causes = _causes_in_kept_logs(session, run.run_id, failed)
    if not causes:
        return f"{', '.join(failed) or 'the server names no failed task'} ({instead})", {"causes": []}
    return in_a_line(causes), {"causes": [cause.model_dump() for cause in causes]}


def _causes_in_kept_logs(session: Session, run_id: str, failed: list[str]) -> list[Cause]:
    """Return the causes in the logs that the DSPA keeps of failed steps; none if they cannot be read."""
    root = session.client.connection.pipeline_root
    try:
        kept = dict(session.in_time(lambda: kept_logs(root, run_id, ""), root)) if root else {}
    except PlatformError as error:
        session.say(f"note: {error}")
        return []
    return [Cause(step=step, line=failure_reason(step, kept[step])) for step in failed if step in kept]


def _evidence(session: Session, where: str, state: str) -> bytes | None:
    """Return the evidence of a run that has ended, None if it does not appear within `Timeouts.evidence`.

    Most failed runs failed before the gate and have no evidence, so the wait for theirs is shorter.
    """
    end = Deadline(session.timeouts.evidence / (6 if state == "FAILED" else 1))
    while True:
        left = end.remaining
        try:
            data = session.in_time(lambda: get_object(where, MOST), where)
        except PlatformError:
            if not left:
                raise
            data = None
        if data is not None or not left:
            return data
        session.deadline.sleep(min(session.timeouts.poll, left))

"""Submit exactly one run for each attempt, although the API has no idempotent create.

Names of runs are not unique, and the answer to a POST can be lost. So the name is derived from what is
submitted, and a look-up precedes each POST. After a POST without an answer the run is looked up until
`Timeouts.settle` is over, and only then there is another POST.

Two runs are still possible: if a run appears only after `Timeouts.settle`, and if two submitters with one key
look up before either has posted. The look-ups after each POST and before the verdict detect both; each must
list our own run, because a list without it lags behind. The submitter keeps the oldest run and terminates the
others, and only the evidence of the kept run counts. A later submitter that finds several runs that may
still pass refuses them.
"""

import functools
import re
from dataclasses import dataclass

from ml.core.errors import EvidenceError, PlatformError
from ml.dspa.answers import IDENTIFIER, Experiment, Run
from ml.dspa.duplicates import cancel, keep_one
from ml.dspa.failures import Refused, Rejected, Unavailable
from ml.dspa.names import same_run
from ml.dspa.same import Asked, asked_for, differences, unlike
from ml.dspa.session import Session
from ml.dspa.submission import Submission
from ml.dspa.timeouts import Deadline, jittered
from ml.release.policy_file import leave_policy
from ml.storage.objects import names_below

LOST = ("FAILED", "CANCELED", "CANCELING", "SKIPPED")
"""States from which a run cannot pass."""


@dataclass
class Trace:
    """The progress of a submission, for the clean-up after an interruption."""

    asked: bool = False
    run: Run | None = None


def submit_once(session: Session, experiment: Experiment, submission: Submission, trace: Trace) -> Run:
    """Return the run of this submission: the existing one, or a new one.

    ``trace`` is kept up to date for the clean-up.

    Raises:
        EvidenceError: the attempt has runs already that are not this submission's, or several, or its place
            holds another policy.
        PlatformError: no run, or none that is known of.
    """
    body = submission.body(experiment.experiment_id)
    asked = asked_for(submission, experiment.experiment_id, session.client.connection.dspa)
    for _ in range(session.timeouts.posts):
        own = ""
        existing = [run for run in _look_up(session, experiment, submission) if not run.given_up]
        if existing:
            # Several may be our own, from POSTs that were not answered.
            if trace.asked:
                run = keep_one(session, experiment.experiment_id, submission.key, existing)
            else:
                run = _only(existing)
            _check_same(run, submission, asked)
            trace.run = run
            session.say(f"run {run.run_id} of this attempt exists already: it is adopted")
            return run
        if not trace.asked:
            _require_unused(session, submission)
            _leave_policy(session, submission)
        trace.asked = True
        try:
            created = [session.client.create_run(body, session.deadline.remaining)]
            own = created[0].run_id
        except Refused as error:
            last: PlatformError = error
            session.say(f"{error}; retrying")
            if error.certain:
                # The POST had no effect. The token may be rotating: post again.
                session.deadline.sleep(jittered(session.timeouts.refused / session.timeouts.posts))
                continue
            created = _await(session, experiment, submission, 0)
        except Unavailable as error:
            session.say(f"{error}; looking up the run")
            created = _await(session, experiment, submission, error.wait)
            last = error
        if created:
            trace.run = created[0]
            trace.run = run = keep_one(session, experiment.experiment_id, submission.key, created)
            try:
                _check_same(run, submission, asked)
            except EvidenceError:
                if run.run_id == own:
                    session.say(f"run {own} is not what was submitted: it is terminated")
                    cancel(session, own)
                raise
            return run
    raise type(last)(f"{last}; after {session.timeouts.posts} POSTs there is no run {submission.name}")


def _require_unused(session: Session, submission: Submission) -> None:
    """Refuse an attempt that has evidence of an earlier run: a server deletes runs, evidence stays."""
    place = str(submission.parameters["evidence_uri"]).rpartition("/")[0]
    for name in session.in_time(lambda: names_below(place), place):
        run_id = name.removesuffix(".json")
        # Runs can write here: a name that is not an id must not become part of a URL.
        if run_id == name or not re.fullmatch(IDENTIFIER, run_id):
            continue
        try:
            session.ask(functools.partial(session.client.run, run_id))
        except Rejected as error:
            if error.status != 404:
                raise
            raise EvidenceError(
                f"this attempt had run {run_id}, which the DSPA has deleted; its evidence is in {place}: use "
                "another --attempt"
            ) from error


def _leave_policy(session: Session, submission: Submission) -> None:
    """Write the policy to its place before a run can read it."""
    where = str(submission.parameters["evidence_uri"])
    session.in_time(lambda: leave_policy(where, submission.policy_text), where)


def _look_up(session: Session, experiment: Experiment, submission: Submission) -> list[Run]:
    key = submission.key
    return session.ask(lambda within: session.client.runs(experiment.experiment_id, key, within))


def _await(session: Session, experiment: Experiment, submission: Submission, wait: float) -> list[Run]:
    """Look up a run whose POST got no answer, until it appears or the time is over."""
    end = Deadline(max(session.timeouts.settle, wait))
    pause = session.timeouts.settle / 60
    while end.remaining:
        session.deadline.sleep(min(jittered(pause), end.remaining))
        pause *= 2
        if existing := [run for run in _look_up(session, experiment, submission) if not run.given_up]:
            return existing
    return []


def _only(existing: list[Run]) -> Run:
    """Return the run that counts of the existing runs of an attempt."""
    oldest, *younger = existing
    if any(run.state not in LOST for run in younger):
        names = ", ".join(f"{run.run_id} ({run.state})" for run in existing)
        raise EvidenceError(
            f"this attempt has {len(existing)} runs: {names}; none counts. Terminate them and submit with "
            "another --attempt"
        )
    return oldest


def _check_same(run: Run, submission: Submission, asked: Asked) -> None:
    """Raise unless a run is what this submission would start."""
    other = differences(run, submission.parameters)
    if other == ["champion"]:
        raise EvidenceError(
            f"run {run.run_id} of this attempt started when another model was in production: submit with "
            "another --attempt"
        )
    if other or not same_run(run.display_name, submission.name):
        what = f"another {', '.join(other)}" if other else "another pipeline or image"
        raise EvidenceError(f"this attempt already has run {run.run_id}, with {what}: use another --attempt")
    if what := unlike(run, asked):
        raise EvidenceError(f"run {run.run_id} is not what was submitted: {what}; use another --attempt")

"""The use cases `submit` and `follow_run`: follow a run, decide its outcome, and clean up if interrupted."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from ml.core.errors import EvidenceError, Interrupted, JukeboxError, PlatformError, RunFailed, UsageError
from ml.core.kubernetes import NotReadable
from ml.dspa.answers import IDENTIFIER, Run
from ml.dspa.client import Client
from ml.dspa.duplicates import ENDED, keep_one
from ml.dspa.experiments import find_experiment
from ml.dspa.failures import Rejected
from ml.dspa.follow import Show, follow
from ml.dspa.names import key_in
from ml.dspa.outcome import RunOutcome, conclude
from ml.dspa.retry import is_transient, retry_run
from ml.dspa.same import Asked, as_seen, asked_for, differences, unlike
from ml.dspa.session import Session
from ml.dspa.stop import end_abandoned, stop_runs
from ml.dspa.submission import Submission, subject_of
from ml.dspa.submit import Trace, submit_once
from ml.dspa.tekton import TaskRun
from ml.dspa.timeouts import Deadline, DeadlineOver, Timeouts
from ml.dspa.watch import Stuck


class Stop(Protocol):
    """Clean up and return what was done; ``interrupted`` is whether a signal stopped the command."""

    def __call__(self, *, interrupted: bool) -> str:
        """Clean up."""


def submit(
    client: Client,
    submission: Submission,
    *,
    timeouts: Timeouts,
    say: Callable[[str], None],
    show: Show,
    leave_running: bool = False,
    task_run: TaskRun | None = None,
) -> RunOutcome:
    """Submit once, follow the run to its end, and return the outcome of a run that passed.

    Args:
        client: the DSPA.
        submission: what to run, and our policy.
        timeouts: how long to wait and retry.
        say: prints a line for the user.
        show: displays the states of run and tasks after each change.
        leave_running: do not terminate the run when interrupted, at the deadline, or when it is stuck.
        task_run: the TaskRun of this pod; if only the pod is removed, the run is left to the Task's retry.

    Raises:
        Interrupted, DeadlineOver: after the run was terminated.
        Stuck: a step could not start; after the run was terminated.
        JukeboxError: the run did not pass; ``details`` hold what is known.
    """
    session = Session(client, timeouts, Deadline(timeouts.deadline), say)
    say(f"attempt {submission.attempt}, run {submission.name}")
    if submission.parameters["dirty"]:
        commit = submission.parameters["commit"][:12]
        say(f"note: the code differs from commit {commit}: the work tree has changes, or cannot be checked")
    say(f"{client.connection.host} answers, version {session.begin() or 'unknown'}")
    experiment = find_experiment(session, submission.experiment)
    if task_run:
        end_abandoned(session, experiment.experiment_id, submission.key, task_run)
    trace = Trace()

    def stop(*, interrupted: bool) -> str:
        if leave_running:
            if trace.run:
                return f"the run is left running: `jukebox follow {trace.run.run_id}`"
            return f"a run may be left running: submit again with --attempt {submission.attempt}"
        if interrupted and task_run and _continues(task_run, say):
            return "this pod is removed and its TaskRun continues: the run is left to its next try"
        say("terminating the run")
        return stop_runs(client, experiment.experiment_id, submission.key, trace, timeouts)

    with _stopped_by(stop, trace):
        run = submit_once(session, experiment, submission, trace)
        say(f"run {run.run_id}: {session.link(run)}")
        asked = asked_for(submission, experiment.experiment_id, client.connection.dspa)
        outcome = _follow_and_decide(session, run, asked, submission.policy_text, show, trace, retry=True)
        return outcome.model_copy(update={"claimed": submission.claims(run.run_id)})


def follow_run(
    client: Client,
    run_id: str,
    policy_text: str,
    *,
    timeouts: Timeouts,
    say: Callable[[str], None],
    show: Show,
) -> RunOutcome:
    """Follow an existing run and return its outcome; the run is never terminated.

    Raises:
        UsageError: there is no such run.
        EvidenceError: `jukebox submit` did not start it, or another run of its attempt counts.
        Interrupted, JukeboxError: as `submit`.
    """
    if not re.fullmatch(IDENTIFIER, run_id):
        raise UsageError(f"{run_id!r} is not the id of a run")
    session = Session(client, timeouts, Deadline(timeouts.deadline), say)
    session.begin()
    try:
        run = session.ask(lambda within: client.run(run_id, within))
    except Rejected as error:
        raise UsageError(f"there is no run {run_id} at {client.connection.host}") from error
    if not key_in(run.display_name):
        raise EvidenceError(f"run {run_id} ({run.display_name}) was not started by `jukebox submit`")
    asked = as_seen(run)
    subject_of(run_id, asked.parameters)
    trace = Trace(run=run)
    with _stopped_by(lambda *, interrupted: f"run {run_id} continues", trace):
        return _follow_and_decide(session, run, asked, policy_text, show, trace, retry=False)


def _follow_and_decide(
    session: Session, run: Run, asked: Asked, policy_text: str, show: Show, trace: Trace, *, retry: bool
) -> RunOutcome:
    """Follow a run to its end, check that it is the run that counts, and return its outcome."""
    trace.run = ended = follow(session, run, show)
    for tried in range(session.timeouts.tries if retry else 0):
        if not is_transient(session, ended):
            break
        trace.run = restarted = retry_run(session, ended, session.timeouts.again * 2**tried)
        trace.run = ended = follow(session, restarted, show)
    if other := ", ".join(differences(ended, asked.parameters)) or unlike(ended, asked):
        raise EvidenceError(f"the record of run {run.run_id} has changed: {other}")
    kept = keep_one(session, run.experiment_id, key_in(run.display_name), [ended])
    if kept.run_id != run.run_id:
        why = "is older" if kept.age < ended.age else "has replaced this cancelled one"
        raise EvidenceError(
            f"run {run.run_id} does not count: run {kept.run_id} of the same attempt {why}; "
            f"`jukebox follow {kept.run_id}`"
        )
    return conclude(session, ended, asked.parameters, policy_text)


@contextmanager
def _stopped_by(stop: Stop, trace: Trace) -> Iterator[None]:
    """Clean up on an interruption, at the deadline, and when the run is stuck.

    The details of every failure have the id of the run.
    """
    try:
        yield
    except Interrupted:
        stopped = stop(interrupted=True)
        raise RunFailed(f"interrupted; {stopped}", {**_about(trace), "interrupted": True}) from None
    except (DeadlineOver, Stuck) as error:
        try:
            stopped = stop(interrupted=False)
        except Interrupted:
            # Interrupted during the clean-up: clean up again. Further signals are ignored.
            stopped = stop(interrupted=False)
        raise type(error)(f"{error}; {stopped}", {**_about(trace), **error.details}) from error
    except JukeboxError as error:
        error.details = {**_about(trace), **error.details}
        if isinstance(error, PlatformError) and trace.run and trace.run.state not in ENDED:
            error.args = (
                f"{error}; run {trace.run.run_id} continues: see `jukebox follow {trace.run.run_id}`",
            )
        raise


def _about(trace: Trace) -> dict[str, str]:
    return {"run_id": trace.run.run_id} if trace.run else {}


def _continues(task_run: TaskRun, say: Callable[[str], None]) -> bool:
    """Return whether a SIGTERM is for the pod only; False if that cannot be determined."""
    try:
        return not task_run.ended()
    except NotReadable as error:
        say(f"note: cannot determine whether the TaskRun was cancelled: {error}")
        return False

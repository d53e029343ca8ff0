"""From a submission to what came of it: submit once, follow, decide. And cleaning up when told to stop."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from ml.core.errors import EvidenceError, Interrupted, JukeboxError, PlatformError, RunFailed, UsageError
from ml.core.kubernetes import NotReadable
from ml.dspa.again import may_pass, try_again
from ml.dspa.client import IDENTIFIER, Client, Run
from ml.dspa.failures import Rejected
from ml.dspa.follow import Show, follow
from ml.dspa.names import key_in
from ml.dspa.outcome import RunOutcome, conclude
from ml.dspa.same import Asked, as_seen, asked_for, differences, unlike
from ml.dspa.session import Session
from ml.dspa.stop import end_forsaken, stop_runs
from ml.dspa.submission import Submission, subject_of
from ml.dspa.submit import ENDED, Trace, find_experiment, keep_one, submit_once
from ml.dspa.tekton import TaskRun
from ml.dspa.timeouts import Deadline, DeadlineOver, Timeouts
from ml.dspa.watch import Stuck


class Stop(Protocol):
    """Cleans up and says what was done; ``interrupted`` is whether somebody wanted the command to stop."""

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
    """Submit once, follow the run to its end, and return what passed.

    Args:
        client: the DSPA.
        submission: what to run, and our policy.
        timeouts: how long to wait for what.
        say: takes a line for the user.
        show: takes the states of run and tasks whenever one has moved.
        leave_running: leave the run alone when interrupted, at the deadline, and when it is stuck.
        task_run: in whose pod this is; an interruption that is none of it leaves the run to the Task's retry.

    Raises:
        Interrupted, DeadlineOver: after the run was terminated.
        Stuck: a step could not begin; after the run was terminated.
        JukeboxError: whatever came of it instead; ``details`` hold what is known.
    """
    session = Session(client, timeouts, Deadline(timeouts.deadline), say)
    say(f"attempt {submission.attempt}, run {submission.name}")
    if submission.parameters["dirty"]:
        commit = submission.parameters["commit"][:12]
        say(f"note: the code is not just commit {commit}: the work tree has changes, or is not known")
    say(f"{client.connection.host} answers, version {session.begin() or 'unknown'}")
    experiment = find_experiment(session, submission.experiment)
    if task_run:
        end_forsaken(session, experiment.experiment_id, submission.key, task_run)
    trace = Trace()

    def stop(*, interrupted: bool) -> str:
        if leave_running:
            if trace.run:
                return f"the run is left running: `jukebox follow {trace.run.run_id}`"
            return f"whatever was started is left running: submit again with --attempt {submission.attempt}"
        if interrupted and task_run and _goes_on(task_run, say):
            return "this pod is removed and its TaskRun goes on: the run is left to its next try"
        say("ending what was started")
        return stop_runs(client, experiment.experiment_id, submission.key, trace, timeouts)

    with _stopped_by(stop, trace):
        run = submit_once(session, experiment, submission, trace)
        say(f"run {run.run_id}: {session.link(run)}")
        asked = asked_for(submission, experiment.experiment_id, client.connection.dspa)
        found = _see_through(session, run, asked, submission.policy_text, show, trace, again=True)
        return found.model_copy(update={"claimed": submission.claims(run.run_id)})


def follow_run(
    client: Client,
    run_id: str,
    policy_text: str,
    *,
    timeouts: Timeouts,
    say: Callable[[str], None],
    show: Show,
) -> RunOutcome:
    """Follow a run that is there already; it is never terminated.

    Raises:
        UsageError: there is no such run.
        EvidenceError: `jukebox submit` has not started it, or it is not the one of its attempt that counts.
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
    with _stopped_by(lambda *, interrupted: f"run {run_id} goes on", trace):
        return _see_through(session, run, asked, policy_text, show, trace, again=False)


def _see_through(
    session: Session, run: Run, asked: Asked, policy_text: str, show: Show, trace: Trace, *, again: bool
) -> RunOutcome:
    """Follow a run to its end, make sure that it is the one that counts, and decide."""
    trace.run = ended = follow(session, run, show)
    for tried in range(session.timeouts.tries if again else 0):
        if not may_pass(session, ended):
            break
        trace.run = begun = try_again(session, ended, session.timeouts.again * 2**tried)
        trace.run = ended = follow(session, begun, show)
    if other := ", ".join(differences(ended, asked.parameters)) or unlike(ended, asked):
        raise EvidenceError(f"the record of run {run.run_id} has changed: {other}")
    kept = keep_one(session, run.experiment_id, key_in(run.display_name), [ended])
    if kept.run_id != run.run_id:
        why = "is older" if kept.age < ended.age else "has taken the place of this cancelled one"
        raise EvidenceError(
            f"run {run.run_id} does not count: run {kept.run_id} of the same attempt {why}; "
            f"`jukebox follow {kept.run_id}`"
        )
    return conclude(session, ended, asked.parameters, policy_text)


@contextmanager
def _stopped_by(stop: Stop, trace: Trace) -> Iterator[None]:
    """Clean up when told to stop, at the deadline, and where the run is stuck.

    Every failure says which run it is about.
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
            # Interrupted while stopping; further signals are ignored.
            stopped = stop(interrupted=False)
        raise type(error)(f"{error}; {stopped}", {**_about(trace), **error.details}) from error
    except JukeboxError as error:
        error.details = {**_about(trace), **error.details}
        if isinstance(error, PlatformError) and trace.run and trace.run.state not in ENDED:
            error.args = (f"{error}; run {trace.run.run_id} goes on: `jukebox follow` picks it up",)
        raise


def _about(trace: Trace) -> dict[str, str]:
    return {"run_id": trace.run.run_id} if trace.run else {}


def _goes_on(task_run: TaskRun, say: Callable[[str], None]) -> bool:
    """Whether a SIGTERM is for the pod alone; where that is not known, it is for the run as well."""
    try:
        return not task_run.ended()
    except NotReadable as error:
        say(f"note: whether the TaskRun was cancelled is not known: {error}")
        return False

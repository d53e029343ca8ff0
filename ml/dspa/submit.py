"""Submit exactly once, though the API offers no way to say so.

Creating a run is not idempotent, names are not unique, and an answer can be lost. So: a name that follows
from what is submitted; a look-up before each POST; after a POST without an answer a look-up again and again
until `Timeouts.settle` is over, and only then another POST.

What can still leave two runs: a POST that was accepted, whose answer was lost, and whose run appears only
after that; and two submitters with one key at the same moment, each looking before the other has posted.
Both are found by the look-up after each POST and by the one before the verdict, which must show our own run:
a list that does not lags behind. Whoever has posted keeps the oldest and terminates the younger; evidence
counts for the run that is kept, alone. Whoever comes later and finds several that may still pass refuses.
"""

import functools
import re
from dataclasses import dataclass

from ml.core.errors import EvidenceError, PlatformError, UsageError
from ml.dspa.client import IDENTIFIER, Experiment, Run
from ml.dspa.failures import Refused, Rejected, Unavailable
from ml.dspa.names import same_run
from ml.dspa.same import Asked, asked_for, differences, unlike
from ml.dspa.session import Session
from ml.dspa.submission import Submission
from ml.dspa.timeouts import Deadline, jittered
from ml.release.policy_file import leave_policy
from ml.storage.objects import names_below

ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")
LOST = ("FAILED", "CANCELED", "CANCELING", "SKIPPED")
"""States from which a run cannot pass any more."""


@dataclass
class Trace:
    """How far a submission has come: what an interrupted one has to clean up."""

    asked: bool = False
    run: Run | None = None


def find_experiment(session: Session, name: str) -> Experiment:
    """Find the experiment, or create it.

    Raises:
        UsageError: there is one whose name differs in case only, and the server does not tell them apart.
        PlatformError: it cannot be had.
    """

    def get_or_create(within: float) -> Experiment:
        deadline = Deadline(within)
        found = session.client.experiments(name, deadline.remaining)
        if found:
            return _of_name(found, name)
        try:
            return session.client.create_experiment(name, deadline.remaining)
        except Rejected as error:
            if error.status != 409:
                raise
        # Somebody else has just created it.
        found = session.client.experiments(name, deadline.remaining)
        if not found:
            raise Unavailable(f"the experiment {name} is there, but does not show")
        return _of_name(found, name)

    experiment = session.ask(get_or_create)
    if experiment.archived:
        session.say(f"note: the experiment {name} is archived: the dashboard shows its runs there only")
    return experiment


def _of_name(found: list[Experiment], name: str) -> Experiment:
    """Return the experiment of just this name."""
    same = [experiment for experiment in found if experiment.display_name == name]
    if not same:
        raise UsageError(
            f"--experiment {name}: the DSPA has {found[0].display_name}, and compares names without case; "
            "give it as it is there"
        )
    return same[0]


def submit_once(session: Session, experiment: Experiment, submission: Submission, trace: Trace) -> Run:
    """Return the one run of this submission: the one that is there already, or a new one.

    ``trace`` says at any moment whether a run has been asked for, and which one it is.

    Raises:
        EvidenceError: the attempt has runs already that are not this submission's, or several, or its place
            holds another policy.
        PlatformError: no run, or none that is known of.
    """
    body = submission.body(experiment.experiment_id)
    asked = asked_for(submission, experiment.experiment_id, session.client.connection.dspa)
    for _ in range(session.timeouts.posts):
        own = ""
        found = [run for run in _look_up(session, experiment, submission) if not run.given_up]
        if found:
            # Several may be our own, from POSTs that were not answered.
            if trace.asked:
                run = keep_one(session, experiment.experiment_id, submission.key, found)
            else:
                run = _only(found)
            _check_same(run, submission, asked)
            trace.run = run
            session.say(f"run {run.run_id} of this attempt is there already: it is adopted")
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
            session.say(f"{error}; trying again")
            if error.certain:
                # Nothing was done. Whether it is a rotation or a missing right, the next POST will show.
                session.deadline.sleep(jittered(session.timeouts.refused / session.timeouts.posts))
                continue
            created = _await(session, experiment, submission, 0)
        except Unavailable as error:
            session.say(f"{error}; looking for the run")
            created = _await(session, experiment, submission, error.wait)
            last = error
        if created:
            trace.run = created[0]
            trace.run = run = keep_one(session, experiment.experiment_id, submission.key, created)
            try:
                _check_same(run, submission, asked)
            except EvidenceError:
                if run.run_id == own:
                    session.say(f"run {own} is not what was asked for: it is terminated")
                    cancel(session, own)
                raise
            return run
    raise type(last)(f"{last}; asked {session.timeouts.posts} times, no run {submission.name} has appeared")


def _require_unused(session: Session, submission: Submission) -> None:
    """Refuse an attempt that has had its run: servers forget runs after some time, and evidence stays."""
    place = str(submission.parameters["evidence_uri"]).rpartition("/")[0]
    for name in session.in_time(lambda: names_below(place), place):
        run_id = name.removesuffix(".json")
        # Runs can write there: what is no run's id says nothing, and must not get into an address.
        if run_id == name or not re.fullmatch(IDENTIFIER, run_id):
            continue
        try:
            session.ask(functools.partial(session.client.run, run_id))
        except Rejected as error:
            if error.status != 404:
                raise
            raise EvidenceError(
                f"this attempt has had a run, {run_id}, whose evidence is in {place}; the DSPA does not know "
                "it any more: use another --attempt"
            ) from error


def _leave_policy(session: Session, submission: Submission) -> None:
    """Have the policy in its place before a run can ask for it."""
    where = str(submission.parameters["evidence_uri"])
    session.in_time(lambda: leave_policy(where, submission.policy_text), where)


def keep_one(session: Session, experiment_id: str, key: str, known: list[Run]) -> Run:
    """Return the run of an attempt that counts, the oldest that was not cancelled, and terminate all younger.

    A younger one that has ended already does not count either: evidence is bound to the id of its run.

    Raises:
        PlatformError: the list cannot be read, or a run not be terminated.
    """
    end = Deadline(session.timeouts.settle)
    while True:
        listed = session.ask(lambda within: session.client.runs(experiment_id, key, within))
        missing = {run.run_id for run in known} - {run.run_id for run in listed}
        if not missing or not end.remaining:
            break
        # A list that does not show our own run lags behind, and may hide an older one too.
        session.deadline.sleep(jittered(session.timeouts.poll))
    if missing and known[0].state in ENDED:
        raise PlatformError(
            f"the list of runs does not show {', '.join(missing)}: an older run of this attempt may be "
            "hidden as well, so nothing counts"
        )
    every = sorted({run.run_id: run for run in [*known, *listed]}.values(), key=lambda run: run.age)
    runs = [run for run in every if not run.given_up] or every
    for younger in runs[1:]:
        if younger.state not in (*ENDED, "CANCELING"):
            session.say(f"run {younger.run_id} is a second one of this attempt: it is terminated")
            cancel(session, younger.run_id)
    return runs[0]


def cancel(session: Session, run_id: str) -> bool:
    """Terminate a run and archive it; False when it has ended already, or is gone.

    The server's record of a run that ends at once does not show the cancellation; the archived state does.
    """
    try:
        session.ask(lambda within: session.client.terminate(run_id, within))
    except Rejected as error:
        if error.status in (400, 404):
            return False
        raise
    try:
        session.ask(lambda within: session.client.archive(run_id, within))
    except PlatformError as error:
        session.say(f"note: run {run_id} was terminated, and could not be archived: {error}")
    return True


def _look_up(session: Session, experiment: Experiment, submission: Submission) -> list[Run]:
    key = submission.key
    return session.ask(lambda within: session.client.runs(experiment.experiment_id, key, within))


def _await(session: Session, experiment: Experiment, submission: Submission, wait: float) -> list[Run]:
    """Look for a run whose POST was not answered, until it shows or its time is over."""
    end = Deadline(max(session.timeouts.settle, wait))
    pause = session.timeouts.settle / 60
    while end.remaining:
        session.deadline.sleep(min(jittered(pause), end.remaining))
        pause *= 2
        if found := [run for run in _look_up(session, experiment, submission) if not run.given_up]:
            return found
    return []


def _only(found: list[Run]) -> Run:
    """Return the one run that can count, of those that an attempt has already."""
    oldest, *younger = found
    if any(run.state not in LOST for run in younger):
        names = ", ".join(f"{run.run_id} ({run.state})" for run in found)
        raise EvidenceError(
            f"{len(found)} runs of one attempt: {names}; none of them counts. Terminate them and submit with "
            "another --attempt"
        )
    return oldest


def _check_same(run: Run, submission: Submission, asked: Asked) -> None:
    """Make sure that a run is the one that we would submit now."""
    other = differences(run, submission.parameters)
    if other == ["champion"]:
        raise EvidenceError(
            f"run {run.run_id} of this attempt began when another model was in production: submit with "
            "another --attempt"
        )
    if other or not same_run(run.display_name, submission.name):
        what = f"another {', '.join(other)}" if other else "another pipeline or image"
        raise EvidenceError(
            f"this attempt has a run already, {run.run_id}, with {what}: use another --attempt"
        )
    if what := unlike(run, asked):
        raise EvidenceError(f"run {run.run_id} is not what was asked for: {what}; use another --attempt")

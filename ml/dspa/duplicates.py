"""Several runs of one attempt: which one counts, and how the others are ended."""

from ml.core.errors import PlatformError
from ml.dspa.answers import Run
from ml.dspa.failures import Rejected
from ml.dspa.session import Session
from ml.dspa.timeouts import Deadline, jittered

ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")
"""The states of a run that has ended."""


def keep_one(session: Session, experiment_id: str, key: str, known: list[Run]) -> Run:
    """Return the run of an attempt that counts, the oldest not cancelled, and terminate the younger ones.

    A younger run that has ended does not count either: evidence is bound to the id of its run.

    Raises:
        PlatformError: the list cannot be read, or a run cannot be terminated.
    """
    end = Deadline(session.timeouts.settle)
    while True:
        listed = session.ask(lambda within: session.client.runs(experiment_id, key, within))
        missing = {run.run_id for run in known} - {run.run_id for run in listed}
        if not missing or not end.remaining:
            break
        # A list without our own run lags behind, and may lack an older run too.
        session.deadline.sleep(jittered(session.timeouts.poll))
    if missing and known[0].state in ENDED:
        raise PlatformError(
            f"the list of runs lacks {', '.join(missing)} and may lack an older run of this attempt: no run "
            "counts"
        )
    every = sorted({run.run_id: run for run in [*known, *listed]}.values(), key=lambda run: run.age)
    runs = [run for run in every if not run.given_up] or every
    for younger in runs[1:]:
        if younger.state not in (*ENDED, "CANCELING"):
            session.say(f"run {younger.run_id} is a second run of this attempt: it is terminated")
            cancel(session, younger.run_id)
    return runs[0]


def cancel(session: Session, run_id: str) -> bool:
    """Terminate and archive a run; return False if it has ended or does not exist.

    The state history of a run that ends at once does not show the cancellation; being archived does.
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
        session.say(f"note: run {run_id} was terminated, but could not be archived: {error}")
    return True

"""Retry a run that failed for a transient cause, such as a minute without the object store.

KFP restarts it from the failed steps, under the same id. A broken contract, a verdict and an error in the
code are final.
"""

import functools

from ml.dspa.answers import Run
from ml.dspa.duplicates import ENDED
from ml.dspa.failures import Rejected
from ml.dspa.pods import in_a_line
from ml.dspa.session import Session
from ml.dspa.timeouts import Deadline, jittered


def is_transient(session: Session, run: Run) -> bool:
    """Return whether a run failed for transient causes only; False if a cause is not known."""
    if run.state != "FAILED" or run.given_up:
        return False
    causes, _ = session.watch.why(run.run_id)
    if not causes or not all(cause.transient for cause in causes):
        return False
    session.say(f"run {run.run_id} failed: {in_a_line(causes)}; the cause is transient, so it is retried")
    return True


def retry_run(session: Session, run: Run, pause: float) -> Run:
    """Wait, retry the run, and return it once it runs again.

    Raises:
        PlatformError: the DSPA does not retry it.
        DeadlineOver: the deadline is reached.
    """
    session.deadline.sleep(jittered(pause))
    try:
        session.ask(functools.partial(session.client.retry, run.run_id))
    except Rejected as error:
        # The answer to an earlier request was lost: the run has been restarted.
        if error.status != 400:
            raise
    end = Deadline(session.timeouts.settle)
    while True:
        now = session.ask(functools.partial(session.client.run, run.run_id))
        if now.state not in ENDED or not end.remaining:
            return now
        session.deadline.sleep(min(session.timeouts.poll, end.remaining))

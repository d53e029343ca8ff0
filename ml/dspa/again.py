"""Try a run again that failed for what may pass: a minute without the object store must not cost it.

KFP begins it again from the steps that failed, under the same id. What was decided (a broken contract, a
verdict, an error of the code) is final.
"""

import functools

from ml.dspa.client import Run
from ml.dspa.failures import Rejected
from ml.dspa.pods import in_a_line
from ml.dspa.session import Session
from ml.dspa.submit import ENDED
from ml.dspa.timeouts import Deadline, jittered


def may_pass(session: Session, run: Run) -> bool:
    """Whether a run failed, and every step that failed did so for what may pass; not where nobody knows."""
    if run.state != "FAILED" or run.given_up:
        return False
    causes, _ = session.watch.why(run.run_id)
    if not causes or not all(cause.passing for cause in causes):
        return False
    session.say(f"run {run.run_id} failed: {in_a_line(causes)}; that may pass, so it is tried again")
    return True


def try_again(session: Session, run: Run, pause: float) -> Run:
    """Wait, begin the run again, and return it once it goes on.

    Raises:
        PlatformError: the DSPA does not begin it.
        DeadlineOver: the deadline came first.
    """
    session.deadline.sleep(jittered(pause))
    try:
        session.ask(functools.partial(session.client.retry, run.run_id))
    except Rejected as error:
        # An answer that was lost: it goes on already.
        if error.status != 400:
            raise
    end = Deadline(session.timeouts.settle)
    while True:
        now = session.ask(functools.partial(session.client.run, run.run_id))
        if now.state not in ENDED or not end.remaining:
            return now
        session.deadline.sleep(min(session.timeouts.poll, end.remaining))

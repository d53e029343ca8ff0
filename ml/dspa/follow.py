"""Follow a run to its end, whatever the end is.

Only SUCCEEDED, FAILED, CANCELED and SKIPPED end a run. PENDING, RUNNING and PAUSED are waited for until the
deadline, CANCELING and states that nobody knows for a bounded time, and a run that the server has lost is
one that has failed. What a run says of its tasks is shown, and never decides.
"""

import re
import time
from collections.abc import Callable, Mapping

from ml.core.errors import PlatformError, RunFailed
from ml.dspa.client import UNSPECIFIED, Run, Task
from ml.dspa.failures import Rejected
from ml.dspa.session import Session
from ml.dspa.submit import ENDED
from ml.dspa.timeouts import DeadlineOver, jittered

Show = Callable[[str, Mapping[str, str]], None]
"""Takes the state of a run, and those of its tasks by name."""

DRIVER = "-driver"
TRY = re.compile(r"\(\d+\)$")

WAITED_FOR = ("PENDING", "RUNNING", "PAUSED")


def follow(session: Session, run: Run, show: Show) -> Run:
    """Return the run as it was last seen: ended, or being cancelled for too long.

    Args:
        session: whom to ask.
        run: as it is known.
        show: is called whenever something has changed.

    Raises:
        DeadlineOver: the deadline came first.
        Stuck: a step cannot begin, and has not for too long.
        RunFailed: the run has vanished.
        PlatformError: the DSPA was out of reach or refused the token for too long, or says a state that
            this version does not know.
    """
    pause, since = session.timeouts.poll, time.monotonic()
    show(_shown(run), task_states(run))
    while run.state not in ENDED:
        stuck = time.monotonic() - since
        if run.state == "CANCELING" and stuck > session.timeouts.canceling:
            return run
        if run.state not in (*WAITED_FOR, "CANCELING") and stuck > session.timeouts.unknown:
            raise PlatformError(f"run {run.run_id} is in state {run.state}, which this jukebox does not know")
        try:
            session.deadline.sleep(jittered(pause))
            now = _look(session, run)
        except DeadlineOver as error:
            raise DeadlineOver(f"{error}: run {run.run_id} is {run.state}") from None
        if now.state not in ENDED:
            session.watch.look(run.run_id)
        if now.state != run.state:
            since = time.monotonic()
        changed = (now.state, task_states(now)) != (run.state, task_states(run))
        most = session.timeouts.poll_most / (3 if session.watch.troubled else 1)
        pause = session.timeouts.poll if changed else min(1.5 * pause, most)
        run = now
        if changed:
            show(_shown(run), task_states(run))
    return run


def _shown(run: Run) -> str:
    """Return the state to show: a run that nothing has taken up yet has none."""
    return "PENDING" if run.state == UNSPECIFIED else run.state


def _look(session: Session, run: Run) -> Run:
    """Look at a run; one that is gone may be back in a moment, from a database that lagged."""
    gone = 0.0
    while True:
        try:
            return session.ask(lambda within: session.client.run(run.run_id, within))
        except Rejected as error:
            gone = gone or time.monotonic()
            if error.status == 404 and time.monotonic() - gone > session.timeouts.vanished:
                raise RunFailed(
                    f"run {run.run_id} has vanished from the DSPA: somebody deleted it"
                ) from error
            if error.status != 404:
                raise
        session.deadline.sleep(jittered(session.timeouts.poll))


def task_states(run: Run) -> Mapping[str, str]:
    """Return the state of each task, by name, in the order in which the server tells them.

    Older servers list the nodes of the workflow: `<task>-driver`, which decides whether a task runs, then
    `<task>` itself, and an `executor` within it; each may come with the number of its try, as `<task>(0)`.
    Newer ones list the tasks. A task has no state until it begins; where its driver failed, it never will.
    """
    nodes = [
        (TRY.sub("", name), node.state)
        for node in run.tasks or run.run_details.task_details
        if (name := _name(node))
    ]
    drivers = {name.removesuffix(DRIVER): state for name, state in nodes if name.endswith(DRIVER)}
    waiting = "NOT STARTED" if run.state in ENDED else "PENDING"
    states = {
        name: "FAILED" if state == "FAILED" else waiting
        for name, state in drivers.items()
        if name.lower() != "root"
    }
    for name, state in nodes:
        known = name in states or (not drivers and name.lower() not in ("root", "executor"))
        if known and state != UNSPECIFIED:
            states[name] = state
        elif known:
            states.setdefault(name, waiting)
    return states


def failed_tasks(run: Run) -> list[str]:
    """Name the tasks that failed, as far as the server tells."""
    return [name for name, state in task_states(run).items() if state == "FAILED"]


def _name(node: Task) -> str:
    return node.name or node.display_name

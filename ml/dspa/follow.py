"""Follow a run to its end.

A run ends in SUCCEEDED, FAILED, CANCELED or SKIPPED. PENDING, RUNNING and PAUSED may last until the deadline;
CANCELING and unknown states have timeouts of their own. A run that the server no longer has counts as failed.
The states of tasks are displayed and decide nothing.
"""

import re
import time
from collections.abc import Callable, Mapping

from ml.core.errors import PlatformError, RunFailed
from ml.dspa.answers import UNSPECIFIED, Run, Task
from ml.dspa.duplicates import ENDED
from ml.dspa.failures import Rejected
from ml.dspa.session import Session
from ml.dspa.timeouts import DeadlineOver, jittered

Show = Callable[[str, Mapping[str, str]], None]
"""Displays the state of a run, and the states of its tasks by name."""

DRIVER = "-driver"
TRY = re.compile(r"\(\d+\)$")

WAITED_FOR = ("PENDING", "RUNNING", "PAUSED")


def follow(session: Session, run: Run, show: Show) -> Run:
    """Return the run once it has ended, or has been CANCELING for `Timeouts.canceling`.

    Args:
        session: the DSPA.
        run: its last known state.
        show: called after each change.

    Raises:
        DeadlineOver: the deadline is reached.
        Stuck: a step did not start within `Timeouts.stuck`.
        RunFailed: the run was deleted.
        PlatformError: the DSPA was unavailable or refused the token for too long, or the run stays in a
            state that this version does not know.
    """
    pause, since = session.timeouts.poll, time.monotonic()
    show(_shown(run), task_states(run))
    while run.state not in ENDED:
        stuck = time.monotonic() - since
        if run.state == "CANCELING" and stuck > session.timeouts.canceling:
            return run
        if run.state not in (*WAITED_FOR, "CANCELING") and stuck > session.timeouts.unknown:
            raise PlatformError(f"run {run.run_id} is in state {run.state}, which this version does not know")
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
    """Return the state to display: a run that has not been scheduled yet has none."""
    return "PENDING" if run.state == UNSPECIFIED else run.state


def _look(session: Session, run: Run) -> Run:
    """Return the run; retry a 404 for `Timeouts.vanished`, because the server's database may lag behind."""
    gone = 0.0
    while True:
        try:
            return session.ask(lambda within: session.client.run(run.run_id, within))
        except Rejected as error:
            gone = gone or time.monotonic()
            if error.status == 404 and time.monotonic() - gone > session.timeouts.vanished:
                raise RunFailed(f"run {run.run_id} is not in the DSPA any more: it was deleted") from error
            if error.status != 404:
                raise
        session.deadline.sleep(jittered(session.timeouts.poll))


def task_states(run: Run) -> Mapping[str, str]:
    """Return the state of each task by name, in the server's order.

    Older servers list the nodes of the workflow: `<task>-driver`, which decides whether a task runs, then
    `<task>` itself, and an `executor` in it; each name may have the number of the try, as `<task>(0)`.
    Newer servers list the tasks. A task has no state until it starts; after a failed driver it never starts.
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
    """Return the names of the failed tasks that the server lists."""
    return [name for name, state in task_states(run).items() if state == "FAILED"]


def _name(node: Task) -> str:
    return node.name or node.display_name

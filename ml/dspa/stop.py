"""End the runs of a submission that was told to stop, and say what became of them, as far as it was seen."""

import functools
from collections.abc import Mapping

from ml.core.errors import PlatformError
from ml.core.kubernetes import NotReadable
from ml.dspa.client import Client, Run
from ml.dspa.names import key_in
from ml.dspa.session import Session
from ml.dspa.submit import ENDED, Trace, cancel
from ml.dspa.tekton import TaskRun
from ml.dspa.timeouts import Deadline, Timeouts


def stop_runs(client: Client, experiment_id: str, key: str, trace: Trace, timeouts: Timeouts) -> str:
    """Terminate what an interrupted submission has started, wait for its end, and say what was seen.

    Where a run was asked for and no answer came, it is looked for until `Timeouts.stop` is over.
    """
    session = Session(client, timeouts, Deadline(timeouts.stop), lambda _: None)
    told: dict[str, str] = {}
    runs: list[Run] = []

    def end(run_id: str) -> None:
        if cancel(session, run_id):
            told[run_id] = "CANCELING"

    try:
        if trace.run:
            end(trace.run.run_id)
        # An earlier submitter of this attempt may have been killed: one look in any case.
        while True:
            runs = session.ask(lambda within: client.runs(experiment_id, key, within))
            for run in runs:
                if run.state == "CANCELING":
                    told.setdefault(run.run_id, run.state)
                elif run.state not in ENDED and run.run_id not in told:
                    end(run.run_id)
            if told and not trace.run:
                trace.run = next(run for run in runs if run.run_id == next(iter(told)))
            if trace.run or not trace.asked or session.deadline.remaining <= timeouts.poll:
                break
            session.deadline.sleep(timeouts.poll)
        while _live(told) and session.deadline.remaining > timeouts.poll:
            for run_id in _live(told):
                told[run_id] = session.ask(functools.partial(client.run, run_id)).state
            session.deadline.sleep(timeouts.poll)
    except PlatformError as error:
        if not told:
            name = trace.run.run_id if trace.run else f"a run named … {key}-…"
            return f"{name} may still be running, it could not be terminated: {error}"
    return _farewell(session, trace, runs, told)


def end_forsaken(session: Session, experiment_id: str, key: str, task_run: TaskRun) -> None:
    """Terminate runs that a PipelineRun of this namespace has left behind, as when its last pod was drained.

    What cannot be found out is left alone.

    Args:
        session: whom to ask.
        experiment_id: whose newest runs are looked at.
        key: that of our own attempt.
        task_run: in whose namespace the PipelineRuns are.
    """
    for run in session.ask(lambda within: session.client.newest_runs(experiment_id, within)):
        if run.state in (*ENDED, "CANCELING") or key_in(run.display_name) == key:
            continue
        try:
            forsaken = task_run.forsaken(run)
        except NotReadable as error:
            session.say(f"note: runs that nobody follows are not looked for: {error}")
            return
        if forsaken and cancel(session, run.run_id):
            session.say(f"run {run.run_id} was left behind by a PipelineRun that has ended: it is terminated")


def _live(told: Mapping[str, str]) -> list[str]:
    """Return the runs whose end was not seen."""
    return [run_id for run_id, state in told.items() if state not in ENDED]


def _farewell(session: Session, trace: Trace, runs: list[Run], told: Mapping[str, str]) -> str:
    if live := _live(told):
        gone = session.watch.without_pods(live[0])
        return (
            f"run {', '.join(live)} was told to end, and has not in {session.timeouts.stop:g} s{gone}; "
            f"`jukebox follow {live[0]}` shows what becomes of it"
        )
    if told:
        return f"run {', '.join(told)} was terminated"
    if trace.asked and not runs:
        return "a run was asked for and does not show; if it begins later, the same --attempt finds it"
    return "no run was left behind"

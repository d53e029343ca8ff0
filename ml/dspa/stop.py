"""Terminate the runs of an interrupted submission and report their state, and those of earlier ones."""

import functools
from collections.abc import Mapping

from ml.core.errors import PlatformError
from ml.core.kubernetes import NotReadable
from ml.dspa.answers import Run
from ml.dspa.client import Client
from ml.dspa.duplicates import ENDED, cancel
from ml.dspa.names import key_in
from ml.dspa.session import Session
from ml.dspa.submit import Trace
from ml.dspa.tekton import TaskRun
from ml.dspa.timeouts import Deadline, Timeouts


def stop_runs(client: Client, experiment_id: str, key: str, trace: Trace, timeouts: Timeouts) -> str:
    """Terminate the runs of an interrupted submission, wait for their end, and return a line about them.

    A run whose POST got no answer is looked for until `Timeouts.stop` is over.
    """
    session = Session(client, timeouts, Deadline(timeouts.stop), lambda _: None)
    ending: dict[str, str] = {}
    runs: list[Run] = []

    def end(run_id: str) -> None:
        if cancel(session, run_id):
            ending[run_id] = "CANCELING"

    try:
        if trace.run:
            end(trace.run.run_id)
        # An earlier submitter of this attempt may have been killed: look up its runs in any case.
        while True:
            runs = session.ask(lambda within: client.runs(experiment_id, key, within))
            for run in runs:
                if run.state == "CANCELING":
                    ending.setdefault(run.run_id, run.state)
                elif run.state not in ENDED and run.run_id not in ending:
                    end(run.run_id)
            if ending and not trace.run:
                trace.run = next(run for run in runs if run.run_id == next(iter(ending)))
            if trace.run or not trace.asked or session.deadline.remaining <= timeouts.poll:
                break
            session.deadline.sleep(timeouts.poll)
        while _live(ending) and session.deadline.remaining > timeouts.poll:
            for run_id in _live(ending):
                ending[run_id] = session.ask(functools.partial(client.run, run_id)).state
            session.deadline.sleep(timeouts.poll)
    except PlatformError as error:
        if not ending:
            name = f"run {trace.run.run_id}" if trace.run else f"a run named … {key}-…"
            return f"{name} may still be running and could not be terminated: {error}"
    return _summary(session, trace, runs, ending)


def end_abandoned(session: Session, experiment_id: str, key: str, task_run: TaskRun) -> None:
    """Terminate runs whose PipelineRun has ended without them, as when its last pod was drained.

    If the PipelineRuns cannot be read, nothing is terminated.

    Args:
        session: the DSPA.
        experiment_id: the experiment; its newest runs are checked.
        key: the key of our own attempt, whose runs are left alone.
        task_run: our TaskRun; the PipelineRuns are in its namespace.
    """
    for run in session.ask(lambda within: session.client.newest_runs(experiment_id, within)):
        if run.state in (*ENDED, "CANCELING") or key_in(run.display_name) == key:
            continue
        try:
            abandoned = task_run.abandoned(run)
        except NotReadable as error:
            session.say(f"note: abandoned runs cannot be looked up: {error}")
            return
        if abandoned and cancel(session, run.run_id):
            session.say(f"run {run.run_id} is terminated: its PipelineRun has ended")


def _live(ending: Mapping[str, str]) -> list[str]:
    """Return the terminated runs that have not ended yet."""
    return [run_id for run_id, state in ending.items() if state not in ENDED]


def _summary(session: Session, trace: Trace, runs: list[Run], ending: Mapping[str, str]) -> str:
    if live := _live(ending):
        gone = session.watch.without_pods(live[0])
        return (
            f"run {', '.join(live)} was terminated and has not ended in {session.timeouts.stop:g} s{gone}; "
            f"see `jukebox follow {live[0]}`"
        )
    if ending:
        return f"run {', '.join(ending)} was terminated"
    if trace.asked and not runs:
        return "a run was requested and has not appeared; if it appears later, the same --attempt adopts it"
    return "no run is left running"
